//! The walk through the page in a real Chromium, against a real page on a sample node.
//!
//! The page is the product's, TLS, guard and all; only the node behind it is a sample. `walk.mjs` drives the
//! browser and tells the sample node through two files which state and which posts it should show.
//! Needs `chromium`, `node` and `npm ci` in this folder. Screenshots go to `ANTIHATE_SCREENSHOTS` when that is set.

mod payloads;
mod sample;

use antihate::setup::{Options, Page};
use sample::SampleNode;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs chromium and the packages of package-lock.json; appliance/test runs it"]
async fn a_person_walks_through_the_page_in_chromium() {
    let dir = tempfile::tempdir().expect("dir");
    let node = Arc::new(SampleNode::new(dir.path()));
    let bind = "127.0.0.1:0".parse().expect("address");
    let options = Options { bind, data: dir.path().join("data"), run: dir.path().join("run"), node: "node-7f3a".into(), name: tokio::sync::watch::channel(None).1 };
    let page = Page::open(options, node.clone()).expect("page");
    let invitation = page.invitation();
    let stop = CancellationToken::new();
    let walk = walk(&invitation.addresses[0], dir.path());
    let (served, walked) = tokio::join!(page.serve(stop.clone()), async {
        let walked = walk.await;
        stop.cancel();
        walked
    });
    served.expect("the page served until it was stopped");
    assert!(walked, "the walk found faults; they are listed above");
    let audit = std::fs::read_to_string(dir.path().join("data/logs/audit.log")).expect("audit log");
    assert!(audit.contains("\"action\":\"reveal\""));
    // The payloads stand in identifiers too, which the audit log names; the mild texts stand only in texts.
    assert!(sample::texts().all(|text| !audit.contains(text)), "a text is in the audit log");
    assert_eq!(*node.sent.lock().expect("lock"), [sample::TOKEN], "the token was sent once");
}

/// Runs `walk.mjs`; its findings go to standard error.
async fn walk(address: &str, dir: &Path) -> bool {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page");
    let shots = std::env::var_os("ANTIHATE_SCREENSHOTS").map_or(dir.join("screenshots"), Into::into);
    std::fs::create_dir_all(&shots).expect("folder for screenshots");
    let ended = tokio::process::Command::new("node")
        .arg(here.join("walk.mjs"))
        .env("PAGE", address)
        .env("PIN_FILE", dir.join("run/setup-pin"))
        .env("NODE_DIR", dir)
        .env("SHOTS", shots)
        .env("BATCHES", payloads::all().len().div_ceil(sample::BATCH).to_string())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .status()
        .await
        .expect("node runs; see the head of this file");
    ended.success()
}
