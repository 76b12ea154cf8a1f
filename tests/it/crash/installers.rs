//! The real installer: two of them at the same moment on one disk (promise I9), and one that is killed and taken off again (I3).

use crate::node::{STEPS, kill_host_process, killed_in, nothing_is_left};
use crate::support::testhost::{Switch, TestHost};
use crate::support::{needs_the_file, until};
use std::process::Child;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);
const ROUNDS: usize = 50;

fn start(host: &TestHost, log: &str) -> Child {
    host.start_antihate(&["up", "--node-ip", &host.address, "--name", "leaf-1"], log)
}

/// One round; seconds until the loser had gone.
fn round(host: &TestHost, number: usize) -> f64 {
    let logs = ["one.log", "other.log"];
    logs.iter().for_each(|log| drop(std::fs::remove_file(host.folder().join(log))));
    let begun = Instant::now();
    let mut both = logs.map(|log| start(host, log));
    let lost = until("one of two gives way", PATIENCE, || (0..2).find(|n| both[*n].try_wait().expect("asked").is_some()));
    let seconds = begun.elapsed().as_secs_f64();
    let [one, other] = &mut both;
    let (loser, winner) = if lost == 0 { (one, other) } else { (other, one) };
    let said = std::fs::read_to_string(host.folder().join(logs[lost])).expect("its log");
    assert_eq!(loser.wait().expect("its end").code(), Some(1), "round {number}: {said}");
    assert!(said.contains("PRE-105") && said.contains(&winner.id().to_string()), "round {number}: it says who has the node: {said}");
    assert!(winner.try_wait().expect("asked").is_none(), "round {number}: the other one goes on");
    kill_host_process(winner);
    seconds
}

#[test]
fn i9_of_two_installers_exactly_one_wins() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    let slowest = (0..ROUNDS).map(|n| round(&host, n)).fold(0.0, f64::max);
    println!("I9: 0 of {ROUNDS} rounds with two winners or none: at most {:.0} % with 95 %; the slowest loser had gone after {slowest:.1} s", 300.0 / ROUNDS as f64);
    nothing_is_left(&host);
}

#[test]
#[ignore = "six nodes one after another. `cargo test --release --test it -- --ignored --nocapture crash::installers::i3`"]
fn i3_killed_in_each_step_a_reset_leaves_nothing_and_a_second_one_finds_nothing() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    for step in STEPS {
        killed_in(&host, step);
        nothing_is_left(&host);
        nothing_is_left(&host);
        println!("I3: killed in {step}: nothing is left");
    }
}
