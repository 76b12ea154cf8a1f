//! Power cuts, kills and failing disks at every point of a first start's files (promises I1, I2, I4, I6, I7).
//!
//! The work runs in a process of its own whose system calls are recorded; each call that changes files is a fault point. A kill and
//! an error of the disk are injected into the real process there; a power cut is played on a model of the disk ([`disk`]), and what
//! it leaves is given to the real work to go on with.

mod disk;
mod installers;
mod trace;
mod work;

use disk::Disk;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::path::{Path, PathBuf};
use trace::Call;
use work::Tree;

const DATA: &str = "ANTIHATE_TEST_CRASH_DATA";
const CARRIED: &str = "ANTIHATE_TEST_CRASH_CARRIED";
const CHILD: &str = "crash::works_where_it_is_told";

#[test]
#[ignore = "the process that the other tests of this module watch, kill and fail"]
fn works_where_it_is_told() {
    let place = |name| PathBuf::from(std::env::var_os(name).expect("started by another test"));
    // A writer that goes on after an error would show nothing: the first one ends the work.
    match work::install(&place(CARRIED), &place(DATA)) {
        Ok(_) => nix::unistd::write(std::io::stderr(), work::DONE).map(drop).expect("told"),
        Err(problem) => {
            eprintln!("problem {}: {}: {}", problem.code, problem.what, problem.cause);
            std::process::exit(1);
        }
    }
}

/// Where the tests work: in memory, where there is room; what counts is what is asked of the kernel.
struct Bench {
    folder: tempfile::TempDir,
    wanted: Tree,
    fixed: Vec<String>,
}

impl Bench {
    fn new() -> Option<Bench> {
        if !nix::unistd::geteuid().is_root() || std::process::Command::new("strace").arg("-V").output().is_err() {
            eprintln!("SKIPPED: these faults need root, and strace, which appliance/deps installs");
            return None;
        }
        let base = Some(Path::new("/dev/shm")).filter(|p| p.is_dir()).map_or_else(std::env::temp_dir, Path::to_path_buf);
        let folder = tempfile::Builder::new().prefix("antihate-crash-").tempdir_in(base).expect("a folder");
        work::carried(&folder.path().join("carried"));
        let mut bench = Bench { folder, wanted: Tree::new(), fixed: Vec::new() };
        let [one, other] = [(); 2].map(|()| {
            bench.empty();
            work::install(&bench.carried(), &bench.data()).expect("the work is done without a fault");
            work::tree(&bench.data())
        });
        bench.fixed = one.iter().filter(|(name, what)| other.get(*name) == Some(*what)).map(|(name, _)| name.clone()).collect();
        bench.wanted = other;
        Some(bench)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("disk/data")
    }

    fn carried(&self) -> PathBuf {
        self.folder.path().join("carried")
    }

    fn empty(&self) {
        let disk = self.folder.path().join("disk");
        drop(std::fs::remove_dir_all(&disk));
        std::fs::create_dir(&disk).expect("a folder");
    }

    /// Runs the work on an empty disk, with a fault when one is named; the calls, how it ended and what it said.
    fn watched(&self, fault: &[String]) -> (Vec<Call>, std::process::ExitStatus, String) {
        self.empty();
        let log = self.folder.path().join("calls");
        let (status, said) = trace::watched(CHILD, &log, fault, &[(DATA, &self.data()), (CARRIED, &self.carried())]);
        (trace::read(&log), status, said)
    }

    /// The recorded calls of a run without a fault, with the number of those until the work said that it was done.
    fn record(&self) -> (Vec<Call>, usize) {
        let (calls, status, said) = self.watched(&[]);
        assert!(status.success(), "{said}");
        let done = calls.iter().position(|c| c.name == "write" && matches!(&c.arguments[1], trace::Argument::Bytes(b) if b == work::DONE));
        (calls, done.expect("the work says when it is done"))
    }

    /// Goes on with what is there; what is wrong then.
    fn goes_on(&self) -> Option<String> {
        if let Err(p) = work::install(&self.carried(), &self.data()) {
            return Some(format!("it does not go on: {} {}: {}", p.code, p.what, p.cause));
        }
        work::fault(&self.carried(), &self.data(), &self.wanted, &self.fixed)
    }
}

/// One power cut at a moment and on a kind of disk by chance; what is wrong afterwards. `syncs`: whether the process' syncs count.
fn cut(bench: &Bench, (calls, done): (&[Call], usize), seed: u64, syncs: bool) -> Option<String> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut disk = Disk::new(&bench.folder.path().join("disk"), chance.gen_bool(0.5));
    // Some cuts come right after the end, where everything is promised.
    let moment = if chance.gen_bool(0.1) { done } else { chance.gen_range(0..=done) };
    calls[..moment].iter().filter(|c| syncs || !c.name.ends_with("sync")).for_each(|c| disk.apply(c));
    bench.empty();
    disk.cut(&mut chance);
    let before = work::tree(&bench.data());
    bench.goes_on().or_else(|| (moment == done && before != work::tree(&bench.data())).then(|| "what was said to be done was not".into()))
}

/// How many by the environment, or `usual`.
fn many(usual: u64) -> u64 {
    std::env::var("ANTIHATE_CRASH_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

#[test]
fn i4_no_power_cut_leaves_what_looks_done_and_is_wrong() {
    let Some(bench) = Bench::new() else { return };
    let (calls, done) = bench.record();
    let seeds = many(1000);
    let faults: Vec<String> = (0..seeds).filter_map(|seed| cut(&bench, (&calls, done), seed, true).map(|f| format!("seed {seed}: {f}"))).collect();
    println!("I4: {} of {seeds} power cuts, {done} calls: at most {:.2} % with 95 %", faults.len(), 300.0 / seeds as f64);
    assert!(faults.is_empty(), "{:#?}", &faults[..faults.len().min(10)]);
}

#[test]
fn i6_the_same_cuts_catch_a_build_that_does_not_sync() {
    let Some(bench) = Bench::new() else { return };
    let (calls, done) = bench.record();
    // A hundred tries, each of at most a tenth of the cuts that I4 makes.
    let first = |n: &u64| (0..100).find(|k| cut(&bench, (&calls, done), n * 100 + k, false).is_some());
    let needed: Vec<u64> = (0..100u64).filter_map(|n| first(&n)).collect();
    let caught = needed.len();
    println!("I6: {caught} of 100 tries catch it, after {:.0} cuts on average", needed.iter().sum::<u64>() as f64 / caught.max(1) as f64 + 1.0);
    assert!(caught >= 99, "only {caught} of 100");
}

/// Kills or fails the process at each of its calls that concern the disk, on two disks at a time; `after` tells what is wrong with
/// how it ended.
fn at_each_call(fault: &str, only: impl Fn(&Call) -> bool + Sync, after: impl Fn(&str, bool) -> Option<String> + Sync) -> Option<(usize, Vec<String>)> {
    let lanes = [Bench::new()?, Bench::new()?];
    let (calls, done) = lanes[0].record();
    let disk = Disk::new(&lanes[0].folder.path().join("disk"), true);
    let points: Vec<String> = calls[..done].iter().filter(|c| disk.concerns(c) && only(c)).map(|c| format!("inject={}:{fault}:when={}", c.name, c.nth)).collect();
    let failing = |bench: &Bench, inject: &String| {
        let (_, status, said) = bench.watched(&["-e".into(), inject.clone()]);
        // A thread that writes for the first time may be the one that only tells how it goes: it cannot name anything then.
        let ended = if trace::hit_what_it_says(&bench.folder.path().join("calls")) { None } else { after(&said, status.success()) };
        ended.or_else(|| bench.goes_on()).map(|f| format!("{inject}: {f}"))
    };
    let (points, failing) = (&points, &failing);
    let faults = std::thread::scope(|scope| {
        let lane = |(n, bench)| scope.spawn(move || points.iter().skip(n).step_by(2).filter_map(|p| failing(bench, p)).collect::<Vec<_>>());
        let running: Vec<_> = lanes.iter().enumerate().map(lane).collect();
        running.into_iter().flat_map(|l| l.join().expect("no panic")).collect()
    });
    Some((points.len(), faults))
}

#[test]
fn i1_i2_killed_at_every_call_it_comes_to_the_same_end_and_a_second_time_changes_nothing() {
    let Some((points, faults)) = at_each_call("signal=KILL", |_| true, |_, ended_well| ended_well.then(|| "it was not killed".into())) else { return };
    println!("I1, I2: {} of {points} kills, one at each call", faults.len());
    assert!(points > 100 && faults.is_empty(), "{points}: {:#?}", &faults[..faults.len().min(10)]);
}

#[test]
fn i7_a_full_or_failing_disk_is_named_and_the_work_goes_on_when_it_is_mended() {
    let named = |said: &str, ended_well: bool| match said.lines().find_map(|l| l.split_once("problem ").map(|(_, rest)| rest)) {
        Some(problem) if problem.split(':').next().is_some_and(|code| code.len() == 7) => None,
        _ => Some(format!("it ended {} and named nothing", if ended_well { "well" } else { "badly" })),
    };
    for (error, calls) in [("ENOSPC", &["openat", "write", "mkdir", "symlink", "rename", "fsync"][..]), ("EIO", &["write", "fsync", "rename"])] {
        let Some((points, faults)) = at_each_call(&format!("error={error}"), |c| calls.contains(&c.name.as_str()), named) else { return };
        println!("I7: {error}: {} of {points} failed calls", faults.len());
        assert!(points > 50 && faults.is_empty(), "{points}: {:#?}", &faults[..faults.len().min(10)]);
    }
}
