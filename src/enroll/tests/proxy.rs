//! A cable between node and hub that can be cut: for good, for a while, or after a number of bytes of the hub.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(super) struct Cable {
    pub(super) port: u16,
    /// Bytes that the hub may still send.
    pub(super) budget: Arc<AtomicUsize>,
    /// Bytes that the hub has sent.
    pub(super) passed: Arc<AtomicUsize>,
    /// Whether connections are let through at all.
    pub(super) up: Arc<AtomicBool>,
}

impl Cable {
    pub(super) async fn to(port: u16, budget: usize) -> Cable {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cable = Cable {
            port: listener.local_addr().unwrap().port(),
            budget: Arc::new(AtomicUsize::new(budget)),
            passed: Arc::default(),
            up: Arc::new(AtomicBool::new(true)),
        };
        let (budget, passed, up) = (cable.budget.clone(), cable.passed.clone(), cable.up.clone());
        tokio::task::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                if up.load(Ordering::SeqCst) {
                    tokio::task::spawn(carry(node, port, budget.clone(), passed.clone()));
                }
            }
        });
        cable
    }
}

async fn carry(mut node: TcpStream, port: u16, budget: Arc<AtomicUsize>, passed: Arc<AtomicUsize>) {
    let Ok(hub) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (mut from_hub, mut to_hub) = hub.into_split();
    let (mut from_node, mut to_node) = node.split();
    let up = async { tokio::io::copy(&mut from_node, &mut to_hub).await.map(drop) };
    let down = async {
        let mut buffer = [0; 4096];
        loop {
            let left = budget.load(Ordering::SeqCst);
            let read = from_hub.read(&mut buffer).await?;
            let through = read.min(left);
            budget.fetch_sub(through, Ordering::SeqCst);
            passed.fetch_add(through, Ordering::SeqCst);
            to_node.write_all(&buffer[..through]).await?;
            if read == 0 || through < read {
                return std::io::Result::Ok(());
            }
        }
    };
    tokio::select! { _ = up => {}, _ = down => {} }
}
