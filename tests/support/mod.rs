//! What the integration tests share: test hosts, and the binary under test.


pub mod gpu;
pub mod pods;
pub mod servers;
pub mod testhost;
pub mod vm;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The complete file under test, if `ANTIHATE_FILE` names one, otherwise the plain build.
pub fn antihate() -> PathBuf {
    std::env::var_os("ANTIHATE_FILE").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_antihate")), PathBuf::from)
}

/// Why a test that needs the complete file cannot run here; printed, so that a skipped test is seen.
pub fn needs_the_file() -> bool {
    let there = std::env::var_os("ANTIHATE_FILE").is_some_and(|f| PathBuf::from(f).is_file());
    if !there {
        eprintln!("SKIPPED: ANTIHATE_FILE names no complete file; appliance/test builds one and sets it");
    }
    there && testhost::can_run()
}

/// Everything that a command said, on both of its outputs.
pub fn said(out: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// Polls until `done` holds; fails with `what` after `limit`, which only guards against hanging forever.
pub fn until<T>(what: &str, limit: Duration, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
