//! What carries datagrams: UDP, and in tests something that loses nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::net::UdpSocket;

/// A way to send and receive datagrams.
#[async_trait]
pub trait Wire: Send + Sync + 'static {
    /// Takes an address.
    ///
    /// # Errors
    /// The address is taken, or is none of this machine.
    async fn bind(&self, listen: SocketAddr) -> io::Result<Arc<dyn Socket>>;
}

/// An address that was taken; free again when nobody has this any more.
#[async_trait]
pub trait Socket: Send + Sync + 'static {
    /// Sends a datagram. It may be lost all the same.
    ///
    /// # Errors
    /// It cannot be sent.
    async fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()>;

    /// Waits for a datagram. One that is longer than `buffer` is cut.
    ///
    /// # Errors
    /// Nothing can be received, perhaps just now.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
}

/// UDP.
pub struct Udp;

#[async_trait]
impl Wire for Udp {
    async fn bind(&self, listen: SocketAddr) -> io::Result<Arc<dyn Socket>> {
        Ok(Arc::new(UdpSocket::bind(listen).await?))
    }
}

#[async_trait]
impl Socket for UdpSocket {
    async fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.send_to(bytes, to).await.map(|_| ())
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_from(buffer).await
    }
}
