//! Benchmarks of a post's way without Kubernetes: A6 (cores at the guide's volume), P3 (rows a second into PostgreSQL).
//!
//! `appliance/bench A6 P3`, or `ORT_DYLIB_PATH=… cargo bench --bench pipeline [-- A6 P3]`
//! Kafka and PostgreSQL 15 are real, on loopback. `ANTIHATE_BENCH_PAIRS` (7) and `ANTIHATE_BENCH_SECONDS` (60, a window of A6)
//! shorten a trial; the lines say what was measured. It records and never fails for being slow.

#[path = "../support/mod.rs"]
#[allow(dead_code)] // shared with the tests
mod support;

mod cores;
#[allow(dead_code)] // every benchmark takes what it needs
mod measure;
#[allow(dead_code)]
mod procs;
mod sink;

fn main() {
    let asked = measure::Asked::read();
    if asked.wants("P3") {
        sink::p3();
    }
    if asked.wants("A6") {
        cores::a6();
    }
}
