//! Hub and node over real TLS on loopback: what must hold whatever happens between them.

mod attack;
mod exchange;
mod life;
mod proxy;

use crate::enroll::edge::{Edge, Folder, Handle, Options};
use crate::enroll::hub::admin::{Admin, NewToken};
use crate::enroll::hub::{Settings, serve};
use crate::enroll::protocol::Report;
use crate::enroll::token::Token;
use crate::status::Upstream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A hub on a free port of loopback; it ends with the value.
struct TestHub {
    dir: TempDir,
    admin: Admin,
    stop: CancellationToken,
}

impl Drop for TestHub {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TestHub {
    /// Certificates live `node_life_s`; nodes beat once a second.
    async fn start(node_life_s: i64) -> TestHub {
        TestHub::named("127.0.0.1", node_life_s).await
    }

    async fn named(name: &str, node_life_s: i64) -> TestHub {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { node_life_s, heartbeat_s: 1, ..Settings::new(dir.path().into(), name, "DE") };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stop = CancellationToken::new();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        tokio::task::spawn(serve(settings, listener, stop.clone(), move |port| ready.send(port).unwrap()));
        is_ready.await.unwrap();
        TestHub { admin: Admin::open(dir.path()).unwrap(), dir, stop }
    }

    fn token(&self) -> Token {
        self.token_with(NewToken { ttl_s: 3_600, ..NewToken::default() }, 0)
    }

    /// A token made `age_s` ago.
    fn token_with(&self, new: NewToken, age_s: i64) -> Token {
        let (text, _) = self.admin.create_token(&new, now() - age_s).unwrap();
        Token::parse(&text).unwrap()
    }
}

const WEEK: i64 = 7 * 86_400;

fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

/// A data root for a node.
fn node() -> (TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::of(dir.path());
    (dir, folder)
}

/// The node's loop on `data`; it ends with the token.
fn edge(data: &Path) -> (Handle, CancellationToken) {
    let report = Arc::new(|| Report { version: "0".into(), healthy: true, summary: "working".into(), ..Report::default() });
    let (edge, handle) = Edge::new(data, Options::default(), report);
    let stop = CancellationToken::new();
    tokio::task::spawn(edge.run(stop.clone()));
    (handle, stop)
}

/// Waits until the status is as wanted; a minute is far more than it takes.
async fn until(handle: &Handle, what: &str, wanted: impl Fn(&Upstream) -> bool) {
    let mut status = handle.status();
    let reached = tokio::time::timeout(Duration::from_secs(60), status.wait_for(|s| wanted(s))).await.is_ok();
    assert!(reached, "never {what}; now {:?}", handle.status().borrow().clone());
}

fn connected(status: &Upstream) -> bool {
    matches!(status, Upstream::Enrolled { connected: true, .. })
}

fn failed_with(status: &Upstream, code: &str) -> bool {
    matches!(status, Upstream::Failed { problem } if problem.code == code)
}
