//! R9: restarts in a row, among them some in the middle of a start.

use crate::node::{kill_host_process, lost_nothing, posts, reached, stop, up};
use crate::support::testhost::Switch;
use crate::support::{needs_the_file, until};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(300);
const RESTARTS: usize = 20;

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
            let step = ["kubernetes", "images", "apply", "healthy", "keys"][turn / 4];
            until("the step is reached", PATIENCE, || reached(&host, step).then_some(()));
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
    lost_nothing(&host);
    println!("{RESTARTS} restarts, the slowest healthy after {slowest:.0} s, {before} posts kept");
    stop(&host, &mut node);
}
