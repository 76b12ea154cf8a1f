//! Benchmarks of the complete file in test hosts: B1 B2 (starting), B4 (memory), B5 (size), A7 (posts a day).
//!
//! `appliance/bench B1 B2`, or as root `ANTIHATE_FILE=… ANTIHATE_TEST_DIR=… cargo bench --bench node [-- B1 B2]`
//! The folder for the hosts must lie on a disk. B1 and B4 compare with `cluster.sh`: the same components, started by a shell script.
//! `ANTIHATE_BENCH_PAIRS` (7), `ANTIHATE_BENCH_IDLE` (600 s, B4) and `ANTIHATE_BENCH_SECONDS` (60, a window of A7) shorten a trial; the
//! lines say what was measured. It records and never fails for being slow.

#[path = "../support/mod.rs"]
#[allow(dead_code)] // shared with the tests
mod support;

mod api;
mod load;
#[allow(dead_code)] // every benchmark takes what it needs
mod measure;
mod memory;
#[allow(dead_code)]
mod procs;
mod sides;
mod size;
mod start;

use support::testhost::Switch;

fn main() {
    let asked = measure::Asked::read();
    let all: [(&str, fn(&Switch)); 5] = [("B5", size::b5), ("B1", start::b1), ("B2", start::b2), ("A7", load::a7), ("B4", memory::b4)];
    if !asked.wants_any(&all.map(|(id, _)| id)) || !support::needs_the_file() {
        return;
    }
    for (id, run) in all {
        if asked.wants(id) {
            run(&Switch::new());
        }
    }
}
