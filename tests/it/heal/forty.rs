//! R8: one real node, its files damaged in every way that a disk knows, one case after another. Each has to end healthy within ten
//! minutes, without a network, with every post that was stored before. A case that fails is told, and the next one goes on.

use super::cases::{Case, How, What, When, bound, cases, damage};
use crate::node::{imported, kill_host_process, kill9, rows, stop, up, write_posts};
use crate::support::testhost::{Switch, TestHost};
use crate::support::{needs_the_file, said, until};
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

/// What is promised.
const LIMIT: Duration = Duration::from_secs(600);
/// A node is well again when it stays so. One that ran all the time says for half a minute that it is, because so long a probe counts.
const STEADY: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(35));
/// Posts that are stored before the first case.
const POSTS: usize = 2_000;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |v| v.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
}

/// Cases that are to run: `ANTIHATE_HEAL_CASES` of the list of `ANTIHATE_HEAL_SEED`, or those of them that `ANTIHATE_HEAL_ONLY` numbers.
fn chosen() -> Vec<Case> {
    let only: Option<Vec<usize>> = std::env::var("ANTIHATE_HEAL_ONLY").ok().map(|list| list.split(',').map(|n| n.parse().expect("a number")).collect());
    let all = cases(number("ANTIHATE_HEAL_CASES", 40), number("ANTIHATE_HEAL_SEED", 1) as u64);
    all.into_iter().filter(|case| only.as_ref().is_none_or(|only| only.contains(&case.number))).collect()
}

/// The file of this case; of several the one that its number says.
fn victim(host: &TestHost, case: &Case) -> Option<PathBuf> {
    let kubernetes = host.data().join("kubernetes");
    let one = |mut all: Vec<PathBuf>| {
        all.retain(|path| path.is_file());
        all.sort();
        (!all.is_empty()).then(|| all[(case.at % all.len() as u64) as usize].clone())
    };
    let within = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    match case.what {
        What::Database => one(vec![kubernetes.join("kine/state.db")]),
        What::Log => one(vec![kubernetes.join("kine/state.db-wal")]),
        What::Index => one(vec![kubernetes.join("kine/state.db-shm")]),
        What::Images => one(vec![kubernetes.join("containerd/io.containerd.metadata.v1.bolt/meta.db")]),
        What::Snapshots => one(vec![kubernetes.join("containerd/io.containerd.snapshotter.v1.overlayfs/metadata.db")]),
        What::Addresses => one(within(kubernetes.join("cni/antihate"))),
        What::Checkpoint => {
            let names = ["cpu_manager_state", "memory_manager_state", "allocated_pods_state", "actuated_pods_state"];
            let devices = host.inside("/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint");
            one(names.iter().map(|name| kubernetes.join("kubelet").join(name)).chain([devices]).collect())
        }
        What::Key => one(within(host.data().join("pki"))),
    }
}

/// Whoever reads the damaged file is ended hard, so that it has to read it again.
fn disturb(host: &TestHost, what: What) {
    // It may have ended by itself and be on its way back.
    let ended = |part: &str| until(part, LIMIT, || (kill9(host, part) > 0).then_some(()));
    match what {
        What::Database | What::Log | What::Index => ended("kine --endpoint"),
        What::Images | What::Snapshots => ended("containerd --config"),
        What::Checkpoint => ended("kubelet --config"),
        What::Key => ended("kube-apiserver --"),
        What::Addresses => drop(host.antihate(&["kubectl", "delete", "pods", "--all", "-n", "antihate-analyzers", "--wait=false"])),
    }
}

/// All that makes a node well: every step done, every component healthy, and the cluster takes a new object.
fn well(host: &TestHost) -> Result<(), String> {
    let out = host.antihate(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&out.stdout).map_err(|_| said(&out))?;
    let list = |name: &str| status[name].as_array().cloned().unwrap_or_default();
    if status["healthy"] != true || list("steps").iter().any(|s| s["state"] != "done") {
        return Err(status["summary"].to_string());
    }
    if let Some(sick) = list("components").iter().find(|c| c["healthy"] != true) {
        return Err(format!("{}: {}", sick["name"], sick["detail"]));
    }
    for verb in ["create", "delete"] {
        let done = host.antihate(&["kubectl", verb, "configmap", "written-after-damage", "-n", "default"]);
        if !done.status.success() && !said(&done).contains("already exists") {
            return Err(said(&done));
        }
    }
    Ok(())
}

/// Seconds from `begun` until the node is well for good.
fn recovers(host: &TestHost, begun: Instant, when: When) -> Result<f64, String> {
    let steady = if when == When::Running { STEADY.1 } else { STEADY.0 };
    let mut since = None;
    loop {
        match well(host) {
            Ok(()) => {
                let first: Instant = *since.get_or_insert_with(Instant::now);
                if first.elapsed() > steady {
                    return Ok((first - begun).as_secs_f64());
                }
            }
            Err(why) if begun.elapsed() > LIMIT => return Err(format!("not well after {} s: {why}", begun.elapsed().as_secs())),
            Err(_) => since = None,
        }
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// Number and sum of all posts that were stored until `moment`.
fn sum(host: &TestHost, moment: &str) -> Option<String> {
    let row = "day || key || md5(text) || label";
    rows(host, &format!("SELECT count(*) || ' ' || md5(string_agg({row}, ',' ORDER BY day, key)) FROM post WHERE stored_at <= '{moment}'"))?.pop()
}

/// What the node says that it did; the marks are taken away, or it would leave the same part alone for ten minutes.
fn did(host: &TestHost) -> String {
    let mut told = Vec::new();
    for part in ["datastore", "runtime", "checkpoints", "configuration"] {
        let mark = host.data().join("kubernetes").join(format!("rebuilt-{part}"));
        told.extend(std::fs::read_to_string(&mark).map(|why| format!("{part} made anew: {why}")));
        drop(std::fs::remove_file(mark));
    }
    if told.is_empty() { "nothing to make anew".into() } else { told.join("; ") }
}

/// One case from a node that is well to a node that is well.
fn try_one(host: &TestHost, node: &mut Child, case: &Case) -> Result<f64, String> {
    let moment = until("the database tells the time", LIMIT, || rows(host, "SELECT now()")?.pop());
    let before = until("the posts are summed up", LIMIT, || sum(host, &moment));
    match case.when {
        When::Stopped => stop(host, node),
        When::Killed => {
            kill_host_process(node);
            until("its components are gone", LIMIT, || (kill9(host, "kine --endpoint") == 0).then_some(()));
        }
        When::Running => {}
    }
    let file = victim(host, case).ok_or("the file is not there")?;
    let name = file.strip_prefix(host.data()).unwrap_or(&file).display().to_string();
    let what = damage(&file, case.how, case.at).map_err(|e| format!("{name}: {e}"))?;
    println!("{case}: {name}: {what}");
    let begun = Instant::now();
    match case.when {
        When::Running => disturb(host, case.what),
        _ => *node = up(host),
    }
    let took = recovers(host, begun, case.when)?;
    let after = until("the posts are summed up", LIMIT, || sum(host, &moment));
    if after == before { Ok(took) } else { Err(format!("posts before: {before}, after: {after}")) }
}

/// After a failure: everything of the cluster is taken away by hand, so that the next case begins with a sound node.
fn begin_anew(host: &TestHost, node: &mut Child, case: &Case) {
    host.keep_logs(&format!("heal-{}", case.number));
    drop(host.antihate(&["stop"]));
    kill_host_process(node);
    drop(host.antihate(&["stop"]));
    for folder in ["kubernetes", "pki"] {
        drop(std::fs::remove_dir_all(host.data().join(folder)));
    }
    *node = up(host);
    host.healthy();
}

/// A panic of one case is its failure.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let word = |e: Box<dyn std::any::Any + Send>| e.downcast_ref::<String>().cloned().or_else(|| e.downcast_ref::<&str>().map(|s| s.to_string()));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|e| word(e).unwrap_or_else(|| "it panicked".into()))
}

fn told(title: &str, results: &[(Case, Result<f64, String>)], which: impl Fn(&Case) -> bool) {
    let of: Vec<_> = results.iter().filter(|(case, _)| which(case)).collect();
    let (tries, failures) = (of.len(), of.iter().filter(|(_, r)| r.is_err()).count());
    let slowest = of.iter().filter_map(|(_, r)| r.as_ref().ok()).fold(0.0_f64, |a, b| a.max(*b));
    if tries > 0 {
        println!("| {title} | {tries} | {failures} | {:.1} % | {slowest:.0} s |", 100.0 * bound(failures, tries));
    }
}

/// The claim with its numbers, then the same by file, damage and moment.
fn table(results: &[(Case, Result<f64, String>)]) {
    println!("| damaged; the node is healthy again within 10 minutes, offline, with every post | tries | failures | at most, 95 % | slowest |\n| --- | --- | --- | --- | --- |");
    told("everything", results, |_| true);
    told("R8: kine's file, log and index; containerd's list", results, |c| c.what.is_promised());
    for what in [What::Database, What::Log, What::Index, What::Images, What::Snapshots, What::Addresses, What::Checkpoint, What::Key] {
        told(&format!("{what:?}"), results, |c| c.what == what);
    }
    for how in [How::Truncate, How::Zero, How::Flip, How::Delete] {
        told(&format!("{how:?}"), results, |c| c.how == how);
    }
    for when in [When::Stopped, When::Killed, When::Running] {
        told(&format!("{when:?}"), results, |c| c.when == when);
    }
    for (case, why) in results.iter().filter_map(|(case, r)| Some((case, r.as_ref().err()?))) {
        println!("failed: {case}: {why}");
    }
}

#[test]
#[ignore = "takes an hour. `cargo test --release --test it -- --ignored --nocapture heal::forty::`"]
fn forty_damaged_files_one_after_another_are_made_good_and_no_post_is_touched() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    let mut node = up(&host);
    host.healthy();
    write_posts(&host.data().join("volumes/import"), POSTS);
    until("the posts are stored", LIMIT, || imported(&host).filter(|n| *n >= POSTS));
    let mut results = Vec::new();
    for case in chosen() {
        let result = caught(|| try_one(&host, &mut node, &case)).and_then(|r| r);
        let failed = result.is_err();
        match &result {
            Ok(took) => println!("{case}: well after {took:.0} s: {}", did(&host)),
            Err(why) => println!("{case}: FAILED: {why}: {}", did(&host)),
        }
        results.push((case, result));
        if failed && let Err(why) = caught(|| begin_anew(&host, &mut node, &case)) {
            println!("no sound node could be made for the next case: {why}");
            break;
        }
    }
    table(&results);
    stop(&host, &mut node);
    assert!(results.iter().all(|(_, r)| r.is_ok()), "some cases failed; they are listed above");
}
