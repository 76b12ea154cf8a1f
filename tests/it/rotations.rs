//! The keys of a cluster of several hosts are changed while it runs, over cut links and kills: everybody follows, no secret is lost
//! and no pod notices.

use crate::joined::{PATIENCE, apply, are, first, joins, kubectl, pod_ip, talk, talker, up};
use crate::node::{kill_host_process, lost_nothing, posts, stop};
use crate::support::testhost::{Switch, TestHost};
use crate::support::{needs_the_file, said, until};
use crate::upkeep::containers;
use antihate::pki::encryption::{self, Key};
use std::process::Child;
use std::time::{Duration, Instant};

fn keys(host: &TestHost) -> Vec<Key> {
    encryption::keys(&host.data().join("pki"))
}

fn pem(host: &TestHost, file: &str) -> String {
    std::fs::read_to_string(host.data().join("pki").join(file)).unwrap_or_default()
}

/// How many authorities the host trusts.
fn trusted(host: &TestHost) -> usize {
    pem(host, "trust.crt").matches("BEGIN CERTIFICATE").count()
}

fn readable(host: &TestHost) {
    let read = host.antihate(&["kubectl", "get", "secrets", "-A", "-o", "jsonpath={.items[*].data}"]);
    assert!(read.status.success() && !read.stdout.is_empty(), "{}", said(&read));
}

/// Begins a change on `host` that goes on beside the test.
fn begins(host: &TestHost, command: &str) -> Child {
    host.start_antihate(&[command], "rotate.log")
}

fn succeeds(mut command: Child, host: &TestHost) {
    let done = command.wait().expect("awaited");
    assert!(done.success(), "{}", std::fs::read_to_string(host.folder().join("rotate.log")).unwrap_or_default());
}

/// Killed after its first step, and a control plane is cut off when it is called again.
fn another_key_for_the_secrets(one: &TestHost, two: &TestHost) {
    let (old, begun) = (keys(one), Instant::now());
    assert_eq!(old, keys(two));
    let mut command = begins(one, "rotate-secrets");
    until("the first step is taken", PATIENCE, || (keys(one).len() == 2).then_some(()));
    kill_host_process(&mut command);
    readable(one);
    until("the other control plane follows by itself", PATIENCE, || (keys(two) == keys(one)).then_some(()));
    two.link(false);
    let command = begins(one, "rotate-secrets");
    std::thread::sleep(Duration::from_secs(20));
    assert_eq!(keys(one)[0], old[0], "nothing is written with a key that one control plane may not have");
    two.link(true);
    succeeds(command, one);
    println!("another key for the secrets of two control planes, over a kill and a cut link: {:.0} s", begun.elapsed().as_secs_f64());
    let new = keys(one);
    assert!(new.len() == 1 && new[0] != old[0] && keys(two) == new);
    readable(one);
    readable(two);
}

/// A host is cut off while the next authority is announced, and a control plane is killed when it signs.
fn another_authority(one: &TestHost, two: &TestHost, three: &TestHost, second: &mut Child) {
    let (old, begun) = (pem(one, "ca.crt"), Instant::now());
    let mut command = begins(one, "rotate-authority");
    until("the next authority is announced", PATIENCE, || pem(one, "ca-next.crt").contains("BEGIN").then_some(()));
    three.link(false);
    until("both control planes trust it", PATIENCE, || (trusted(one) == 2 && trusted(two) == 2).then_some(()));
    std::thread::sleep(Duration::from_secs(30));
    assert!(trusted(three) == 1 && pem(one, "ca.crt") == old, "it does not sign before everybody trusts it");
    kill_host_process(&mut command);
    three.link(true);
    until("the host that was cut off follows", PATIENCE, || (trusted(three) == 2).then_some(()));
    let command = begins(one, "rotate-authority");
    until("the next authority signs", PATIENCE, || (pem(one, "ca.crt") != old).then_some(()));
    until("the other control plane takes it over", PATIENCE, || (pem(two, "ca.crt") != old).then_some(()));
    kill_host_process(second);
    *second = up(two, "two");
    succeeds(command, one);
    println!("another authority for three hosts, over a cut link and two kills: {:.0} s", begun.elapsed().as_secs_f64());
    for host in [one, two, three] {
        assert_eq!(pem(host, "trust.crt"), pem(one, "ca.crt"), "only the new one is trusted");
    }
    assert_ne!(pem(one, "ca.crt"), old);
}

#[test]
#[ignore = "takes about twenty minutes. `cargo test --release --test it -- --ignored rotations::`"]
fn keys_and_authority_of_three_hosts_are_changed_over_cut_links_and_kills_while_pods_go_on() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let (one, two, three) = (switch.host(), switch.host(), switch.host());
    let mut first = first(&one);
    let mut second = joins(&one, &two, "two", &["--control"], &["one ready", "two ready"]);
    let all = ["one ready", "three ready", "two ready"];
    let mut third = joins(&one, &three, "three", &[], &all);
    apply(&one, &talker("on-one", "one"));
    apply(&one, &talker("on-three", "three"));
    talk(&one, "on-one", "on-three");
    let (pods, address, before) = (containers(&one), pod_ip(&one, "on-three"), posts(&one));

    another_key_for_the_secrets(&one, &two);
    another_authority(&one, &two, &three, &mut second);

    are(&one, &all);
    are(&two, &all);
    for host in [&one, &two, &three] {
        host.healthy();
    }
    assert_eq!(containers(&one), pods, "no container was started anew");
    assert_eq!(pod_ip(&one, "on-three"), address);
    talk(&two, "on-one", "on-three");
    let asked = until("the kubelet of the third host is asked", PATIENCE, || kubectl(&two, &["get", "--raw", "/api/v1/nodes/three/proxy/healthz"]));
    assert_eq!(asked.trim(), "ok");
    assert!(posts(&one) >= before);
    lost_nothing(&one);
    stop(&three, &mut third);
    stop(&two, &mut second);
    stop(&one, &mut first);
}
