//! How many small calls a second go between two nodes of one process: `cargo run --release -p
//! mapring-net --example echo_rate`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use mapring_net::tcp::{TcpConfig, TcpTransport};
use mapring_net::{Class, FrameStream, Method, Peer, Service, ServiceId, Services, Transport};
use mapring_types::{Error, NodeId, Result, Secrets};

struct Echo;

#[async_trait]
impl Service for Echo {
    async fn call(&self, _from: NodeId, _operation: u8, body: Bytes) -> Result<Bytes> {
        Ok(body)
    }

    async fn open(&self, _from: NodeId, _operation: u8, _body: Bytes) -> Result<FrameStream> {
        Err(Error::invalid("only calls"))
    }
}

async fn node(id: u64) -> Result<Arc<TcpTransport>> {
    TcpTransport::bind(TcpConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        me: NodeId(id),
        cluster_name: "rate".into(),
        ring_size: 64,
        secrets: Secrets::default(),
    })
    .await
}

#[tokio::main]
async fn main() -> Result<()> {
    const TIME: Duration = Duration::from_secs(5);
    let (caller, answerer) = (node(1).await?, node(2).await?);
    let echo: Arc<dyn Service> = Arc::new(Echo);
    answerer.serve(Services::new([(ServiceId::new(2), echo)]));
    for callers in [1, 16, 256, 1024] {
        let done = Arc::new(AtomicU64::new(0));
        let start = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let (caller, done) = (caller.clone(), done.clone());
                let peer = Peer { id: Some(NodeId(2)), address: answerer.local_addr().to_string() };
                tokio::spawn(async move {
                    let method = Method { service: ServiceId::new(2), operation: 0 };
                    let body = Bytes::from_static(&[7; 64]);
                    while start.elapsed() < TIME {
                        caller
                            .call(&peer, Class::Foreground, method, body.clone(), 2 * TIME)
                            .await?;
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<_, Error>(())
                })
            })
            .collect();
        for task in tasks {
            task.await.map_err(|error| Error::internal("a caller died").with_source(error))??;
        }
        let rate = done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
        println!("{callers} callers: {rate:.0} calls a second of 64 bytes");
    }
    Ok(())
}
