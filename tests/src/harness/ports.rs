//! Ports that no other test uses, also not one of another process.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// A block of ports, as long as this lives.
pub struct Ports {
    first: u16,
    _lock: File,
}

/// Ports in a block: a playground of three nodes spans 22.
const BLOCK: u16 = 40;

/// Blocks lie below the ports that systems give to outgoing connections.
const FIRST: u16 = 20_000;
const BLOCKS: u16 = 300;

impl Ports {
    /// Takes a block that is free.
    pub fn take() -> Self {
        let directory = std::env::temp_dir().join("mapring-test-ports");
        std::fs::create_dir_all(&directory).unwrap();
        for block in 0..BLOCKS {
            let first = FIRST + block * BLOCK;
            let path = directory.join(first.to_string());
            let lock = File::options().create(true).truncate(false).write(true).open(path).unwrap();
            let held = lock.try_lock().is_ok();
            if held && (first..first + BLOCK).all(is_free) {
                return Self { first, _lock: lock };
            }
        }
        panic!("no block of {BLOCK} free ports");
    }

    /// An address with a port of the block.
    pub fn address(&self, offset: u16) -> String {
        format!("{}:{}", Ipv4Addr::LOCALHOST, self.port(offset))
    }

    /// A port of the block.
    pub fn port(&self, offset: u16) -> u16 {
        assert!(offset < BLOCK);
        self.first + offset
    }
}

fn is_free(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port);
    TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
}
