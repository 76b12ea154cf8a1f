//! A person's walk through a real node's page in a real Chromium, inside the node's own network.

use crate::support::testhost::TestHost;
use crate::support::until;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs `tests/page/node.mjs` against the node of `host`, from its first seconds to its enrollment with `token` at `hub`.
/// Screenshots go to `ANTIHATE_SCREENSHOTS` when that is set. False, said aloud, where the walk's packages are not installed.
pub(crate) fn walk(host: &TestHost, token: &str, hub: &str) -> bool {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page");
    if !here.join("node_modules").is_dir() {
        eprintln!("SKIPPED: the walk on the real node needs `npm ci` in tests/page; appliance/test does it");
        return false;
    }
    let shots = std::env::var_os("ANTIHATE_SCREENSHOTS").map_or_else(|| host.folder().join("screenshots"), PathBuf::from);
    std::fs::create_dir_all(&shots).expect("a folder for screenshots");
    let pin = host.data().join("run/setup-pin");
    until("the page invites", Duration::from_secs(120), || pin.exists().then_some(()));
    let credentials = host.folder().join("owner.kubeconfig");
    let node = host.command("node").arg(here.join("node.mjs")).env("PAGE", format!("https://{}:8443", host.address)).env("PIN_FILE", pin)
        .env("SHOTS", shots).env("TOKEN", token).env("HUB", hub).env("KUBECONFIG", &credentials).status().expect("node runs");
    assert!(node.success(), "the walk found faults; they are listed above");
    let may = host.antihate(&["kubectl", "--kubeconfig", &credentials.display().to_string(), "auth", "whoami", "-o", "json"]);
    let told = String::from_utf8_lossy(&may.stdout).into_owned();
    assert!(may.status.success() && told.contains("\"ada\"") && told.contains("antihate:owner"), "the page's credentials name their user: {told}");
    true
}
