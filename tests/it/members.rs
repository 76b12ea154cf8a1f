//! Members of etcd are damaged as power cuts and failing disks do it: each is set aside and made anew by the others, and where too few
//! are whole nothing is touched.

use crate::joined::{PATIENCE, first, kubectl, two_more_control_planes, up, voting};
use crate::node::{kill_host_process, kill9, lost_nothing, posts, stop};
use crate::support::testhost::{Switch, TestHost};
use crate::support::{needs_the_file, until};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Instant;

fn etcd(host: &TestHost, path: &str) -> PathBuf {
    host.data().join("kubernetes/etcd").join(path)
}

/// The newest part of the member's log.
fn log(host: &TestHost) -> PathBuf {
    let parts = std::fs::read_dir(etcd(host, "member/wal")).expect("a log").flatten().map(|e| e.path());
    parts.filter(|p| p.extension().is_some_and(|e| e == "wal")).max().expect("a part")
}

fn change(file: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    let mut raw = std::fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    how(&mut raw);
    // In place, as a disk does it: what runs has the file open.
    let mut open = std::fs::File::options().write(true).open(file).expect("open");
    std::io::Write::write_all(&mut open, &raw).expect("written");
}

fn scribble(file: &Path) {
    change(file, |raw| {
        let end = raw.len().min(65_536);
        raw[..end].fill(0x5a);
    });
}

/// One bit of a record that is read at every start.
fn flip(file: &Path) {
    change(file, |raw| raw[600] ^= 1);
}

fn rebuilt(host: &TestHost) -> PathBuf {
    host.data().join("kubernetes/rebuilt-member")
}

/// Waits until the member of `host` was made anew and votes again.
fn heals(host: &TestHost, by: &TestHost, what: &str, before: usize) {
    let begun = Instant::now();
    until(&format!("{what}: the member is made anew"), PATIENCE, || rebuilt(host).exists().then_some(()));
    voting(by, 3);
    host.healthy();
    println!("{what}: made anew, voting and healthy after {:.0} s", begun.elapsed().as_secs_f64());
    assert!(etcd(host, "").with_extension("damaged").exists(), "what was there is kept");
    let mark = until("what was written before is there", PATIENCE, || kubectl(host, &["get", "configmap", "before", "-n", "default", "-o", "name"]));
    assert!(mark.contains("before"));
    drop(std::fs::remove_file(rebuilt(host))); // otherwise it would be left alone for ten minutes
    assert!(before > 0);
}

/// Two of three: nobody may be taken off. With one of them back, the other one heals.
fn too_many(hosts: [&TestHost; 3], second: &mut Child, third: &mut Child) {
    let [_, two, three] = hosts;
    stop(three, third);
    stop(two, second);
    let (kept, file) = (two.folder().join("kept.wal"), log(two));
    std::fs::copy(&file, &kept).expect("kept");
    scribble(&file);
    scribble(&log(three));
    (*second, *third) = (up(two, "two"), up(three, "three"));
    until("it is told that too few are whole", PATIENCE, || {
        let status = two.antihate(&["status", "--json"]);
        String::from_utf8_lossy(&status.stdout).contains("ETC-105").then_some(())
    });
    for host in [two, three] {
        assert!(!rebuilt(host).exists() && etcd(host, "member/snap/db").exists(), "nothing was touched");
    }
    std::fs::copy(&kept, &file).expect("given back");
    heals(three, two, "two of three damaged, one given back", 1);
}

#[test]
#[ignore = "takes about twenty minutes. `cargo test --release --test it -- --ignored members::`"]
fn a_damaged_member_of_etcd_is_made_anew_by_the_others_and_never_where_too_few_are_whole() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let (one, two, three) = (switch.host(), switch.host(), switch.host());
    let mut first = first(&one);
    let [mut second, mut third] = two_more_control_planes(&one, &two, &three);
    voting(&one, 3);
    until("a mark is written", PATIENCE, || kubectl(&one, &["create", "configmap", "before", "-n", "default"]));
    let before = posts(&one);

    stop(&two, &mut second);
    scribble(&log(&two));
    second = up(&two, "two");
    heals(&two, &one, "stopped; log scribbled over", before);

    scribble(&etcd(&three, "member/snap/db"));
    kill9(&three, "etcd --name=three");
    heals(&three, &one, "running; database scribbled over, its process killed", before);

    kill_host_process(&mut first);
    std::fs::remove_dir_all(etcd(&one, "member")).expect("removed");
    first = up(&one, "one");
    heals(&one, &two, "first host killed; all files deleted", before);

    kill_host_process(&mut second);
    flip(&log(&two));
    second = up(&two, "two");
    heals(&two, &one, "killed; a bit of the log flipped", before);

    too_many([&one, &two, &three], &mut second, &mut third);
    one.healthy();
    assert!(posts(&one) >= before);
    lost_nothing(&one);
    stop(&three, &mut third);
    stop(&two, &mut second);
    stop(&one, &mut first);
}
