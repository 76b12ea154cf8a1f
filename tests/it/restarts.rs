//! R9: restarts in a row, among them some in the middle of a start.

use crate::node::{kill_host_process, rows, stop, up};
use crate::support::testhost::{Switch, TestHost};
use crate::support::{needs_the_file, until};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(300);
const RESTARTS: usize = 20;

fn posts(host: &TestHost) -> usize {
    until("the database is asked", PATIENCE, || rows(host, "SELECT count(*) FROM post")?.first()?.parse().ok())
}

/// True when the step of this run is at work or done.
fn begun(host: &TestHost, step: &str) -> bool {
    let out = host.antihate(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap_or_default();
    status["steps"].as_array().is_some_and(|all| all.iter().any(|s| s["id"] == step && s["state"] != "waiting"))
}

#[test]
#[ignore = "takes ten minutes. `cargo test --release --test it -- --ignored restarts::`"]
fn twenty_restarts_in_a_row_some_in_the_middle_of_a_start_lose_nothing() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    let (mut slowest, mut before) = (0.0_f64, 0);
    for turn in 0..RESTARTS {
        let started = Instant::now();
        let mut node = up(&host);
        if turn % 4 == 3 {
            let step = ["kubernetes", "images", "apply", "probe", "keys"][turn / 4];
            until("the step is reached", PATIENCE, || begun(&host, step).then_some(()));
            kill_host_process(&mut node);
            continue;
        }
        host.healthy();
        slowest = slowest.max(started.elapsed().as_secs_f64());
        let now = posts(&host);
        assert!(now >= before, "{before} posts before, {now} after restart {turn}");
        before = now;
        if turn % 2 == 0 { stop(&host, &mut node) } else { kill_host_process(&mut node) }
    }
    let mut node = up(&host);
    host.healthy();
    assert_eq!(rows(&host, "SELECT coalesce(sum(lost), 0) FROM consumed").expect("a number"), ["0"]);
    println!("{RESTARTS} restarts, the slowest healthy after {slowest:.0} s, {before} posts kept");
    stop(&host, &mut node);
}
