//! The way from a host without a control plane to the API servers: its components ask on loopback, and what they say goes on to
//! the first control plane that takes a connection. Nothing is read on the way: TLS is between the two ends.

use crate::task::group::Group;
use nix::sys::socket::{setsockopt, sockopt};
use std::net::SocketAddrV4;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Connections at a time.
const CONNECTIONS: usize = 1024;
/// A control plane that takes no connection within this is passed over.
const CONNECT: Duration = Duration::from_secs(2);
/// A connection on which nothing is acknowledged for so long is dead: the host at its end was lost.
const DEAD_MS: u32 = 8_000;
/// So often a silent connection is asked whether the other end still lives, seconds.
const ALIVE_S: u32 = 3;

/// Carries connections until it is dropped.
pub async fn serve(listener: TcpListener, targets: watch::Receiver<Vec<SocketAddrV4>>) {
    let mut open = Group::new(CONNECTIONS);
    let (last, _) = watch::channel(None);
    loop {
        let Ok((near, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (all, last) = (targets.borrow().clone(), last.clone());
        open.start(async move {
            let order = order(&all, *last.borrow());
            let Some((far, target)) = reach(&order).await else { return };
            last.send_replace(Some(target));
            carry(near, far).await;
        })
        .await;
    }
}

/// The one that answered last comes first: connections of one component stay together.
fn order(all: &[SocketAddrV4], last: Option<SocketAddrV4>) -> Vec<SocketAddrV4> {
    let mut order = all.to_vec();
    order.sort_by_key(|target| Some(*target) != last);
    order
}

async fn reach(order: &[SocketAddrV4]) -> Option<(TcpStream, SocketAddrV4)> {
    for target in order {
        if let Ok(Ok(stream)) = tokio::time::timeout(CONNECT, TcpStream::connect(target)).await {
            return Some((stream, *target));
        }
    }
    None
}

async fn carry(mut near: TcpStream, mut far: TcpStream) {
    drop((near.set_nodelay(true), far.set_nodelay(true)));
    let _ = setsockopt(&far, sockopt::TcpUserTimeout, &DEAD_MS);
    let _ = setsockopt(&far, sockopt::KeepAlive, &true);
    let _ = setsockopt(&far, sockopt::TcpKeepIdle, &ALIVE_S);
    let _ = setsockopt(&far, sockopt::TcpKeepInterval, &ALIVE_S);
    drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn answering(word: &'static [u8]) -> (SocketAddrV4, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let std::net::SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!() };
        let serving = tokio::task::spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                drop(stream.write_all(word).await);
            }
        });
        (address, serving)
    }

    async fn ask(near: std::net::SocketAddr) -> Vec<u8> {
        let mut said = Vec::new();
        TcpStream::connect(near).await.unwrap().read_to_end(&mut said).await.unwrap();
        said
    }

    #[tokio::test]
    async fn a_connection_goes_to_the_first_that_answers_and_stays_with_it() {
        let work = async {
            let ((one, first), (two, _second)) = (answering(b"one").await, answering(b"two").await);
            let (send, targets) = watch::channel(vec![one, two]);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let near = listener.local_addr().unwrap();
            let carrying = tokio::task::spawn_local(serve(listener, targets));
            assert_eq!(ask(near).await, b"one");
            first.abort();
            drop(first.await);
            assert_eq!(ask(near).await, b"two", "the first is lost");
            assert_eq!(order(&[one, two], Some(two)), [two, one]);
            send.send_replace(Vec::new());
            assert_eq!(ask(near).await, b"", "there is none");
            carrying.abort();
        };
        tokio::task::LocalSet::new().run_until(work).await;
    }
}
