//! Several hosts as one cluster, each a test host of its own with the one file: joining, pods across hosts, lost hosts, leaving.

use crate::node::{kill_host_process, lost_nothing, posts, stop};
use crate::support::testhost::{Switch, TestHost};
use crate::support::{needs_the_file, said, until};
use std::process::Child;
use std::time::{Duration, Instant};

pub const PATIENCE: Duration = Duration::from_secs(400);

/// A code for one more host.
pub fn code(first: &TestHost, more: &[&str]) -> String {
    let out = first.antihate(&[&["node", "add", "--json"], more].concat());
    assert!(out.status.success(), "{}", said(&out));
    let told: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
    told["code"].as_str().expect("a code").to_owned()
}

pub fn join(host: &TestHost, name: &str, code: &str) -> Child {
    host.start_bare(&["join", code, "--node-ip", &host.address, "--name", name], "up.log")
}

/// Starts a host of a cluster; only the first one has the sample site.
pub fn up(host: &TestHost, name: &str) -> Child {
    let first: &[&str] = if name == "one" { &["--sample"] } else { &[] };
    host.start_bare(&[&["up", "--node-ip", &host.address, "--name", name], first].concat(), "up.log")
}

/// The first host of a cluster, healthy.
pub fn first(host: &TestHost) -> Child {
    let process = up(host, "one");
    host.healthy();
    process
}

/// Another host, which joins with a code of `by` made with `more`; waits until the hosts are `wanted` and it is healthy.
pub fn joins(by: &TestHost, host: &TestHost, name: &str, more: &[&str], wanted: &[&str]) -> Child {
    let process = join(host, name, &code(by, more));
    are(by, wanted);
    by.healthy();
    host.healthy();
    process
}

/// Two hosts join the cluster of `one`, which is alone, as control planes.
pub fn two_more_control_planes(one: &TestHost, two: &TestHost, three: &TestHost) -> [Child; 2] {
    let second = joins(one, two, "two", &["--control"], &["one ready", "two ready"]);
    [second, joins(one, three, "three", &["--control"], &["one ready", "three ready", "two ready"])]
}

/// The hosts as `node list` shows them, by `name ready`.
fn hosts(by: &TestHost) -> Option<Vec<String>> {
    let out = by.antihate(&["node", "list", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&out.stdout).ok()?;
    let word = |h: &serde_json::Value| format!("{} {}", h["name"].as_str().unwrap_or_default(), if h["ready"] == true { "ready" } else { "not ready" });
    Some(told["hosts"].as_array()?.iter().map(word).collect())
}

pub fn are(by: &TestHost, wanted: &[&str]) {
    until(&format!("the hosts are {wanted:?}"), PATIENCE, || hosts(by).filter(|all| all == wanted).map(drop));
}

pub fn kubectl(host: &TestHost, args: &[&str]) -> Option<String> {
    let out = host.antihate(&[&["kubectl"], args].concat());
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

pub fn apply(host: &TestHost, object: &serde_json::Value) {
    let file = host.folder().join("object.json");
    std::fs::write(&file, object.to_string()).expect("written");
    let path = file.display().to_string();
    until("the object is applied", PATIENCE, || kubectl(host, &["apply", "-f", &path]));
}

/// A pod on the node `node` that answers every connection at port 7000 with its own name, and can ask others.
pub fn talker(name: &str, node: &str) -> serde_json::Value {
    let image = antihate::manifests::images::POSTGRES;
    let script = "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 7000, Listen => 20, ReuseAddr => 1) or die; while (my $c = $s->accept) { print $c \"$ENV{HOSTNAME}\\n\"; close $c }";
    serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {
            "nodeName": node, "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "talker", "image": image, "imagePullPolicy": "Never", "command": ["perl", "-e", script]}],
        },
    })
}

pub fn pod_ip(host: &TestHost, name: &str) -> String {
    until("the pod runs", PATIENCE, || {
        let told = kubectl(host, &["get", "pod", name, "-o", "jsonpath={.status.phase} {.status.podIP}"])?;
        told.strip_prefix("Running ").filter(|ip| !ip.is_empty()).map(str::to_owned)
    })
}

/// What pod `from` hears at `address:7000`.
fn ask(host: &TestHost, from: &str, address: &str) -> Option<String> {
    let script = format!("use IO::Socket::INET; my $c = IO::Socket::INET->new(PeerAddr => '{address}', PeerPort => 7000, Timeout => 3) or exit 1; print <$c>");
    kubectl(host, &["exec", from, "--", "perl", "-e", &script])
}

pub fn talk(host: &TestHost, from: &str, to: &str) {
    let address = pod_ip(host, to);
    until(&format!("{from} hears {to}"), PATIENCE, || ask(host, from, &address).filter(|said| said.trim() == to));
}

/// A policy that lets nobody reach the pod `name`.
pub fn closed(name: &str) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "default"},
        "spec": {"podSelector": {"matchLabels": {"app": name}}, "policyTypes": ["Ingress"], "ingress": []},
    })
}

/// Policies hold between hosts, for a pod's own address and not for that of its host.
fn policies_hold_between_hosts(first: &TestHost) {
    let address = pod_ip(first, "on-two");
    apply(first, &closed("on-two"));
    until("the policy cuts the way", PATIENCE, || ask(first, "on-one", &address).is_none().then_some(()));
    let mut from_one = closed("on-two");
    from_one["spec"]["ingress"] = serde_json::json!([{"from": [{"podSelector": {"matchLabels": {"app": "on-one"}}}]}]);
    apply(first, &from_one);
    talk(first, "on-one", "on-two");
    assert_eq!(kubectl(first, &["delete", "networkpolicy", "on-two"]).map(|_| ()), Some(()));
}

#[test]
fn a_second_host_joins_with_a_code_its_pods_reach_the_others_and_it_leaves_again() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let (one, two, three) = (switch.host(), switch.host(), switch.host());
    let mut first = first(&one);
    let begun = Instant::now();
    let given = code(&one, &[]);
    let mut second = join(&two, "two", &given);
    are(&one, &["one ready", "two ready"]);
    println!("two hosts {:.1} s after the code was made", begun.elapsed().as_secs_f64());

    // The code has served: a third host is told so.
    let again = three.antihate(&["join", &given, "--node-ip", &three.address, "--name", "three"]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("JOI-104"), "{}", said(&again));
    one.healthy();
    two.healthy();

    apply(&one, &talker("on-one", "one"));
    apply(&one, &talker("on-two", "two"));
    talk(&one, "on-one", "on-two");
    talk(&one, "on-two", "on-one");
    policies_hold_between_hosts(&one);

    // A cut link, and a host process that is killed.
    two.link(false);
    are(&one, &["one ready", "two not ready"]);
    two.link(true);
    are(&one, &["one ready", "two ready"]);
    kill_host_process(&mut second);
    second = up(&two, "two");
    two.healthy();
    talk(&one, "on-one", "on-two");

    assert_eq!(kubectl(&one, &["delete", "pod", "on-one", "on-two", "--wait=false"]).map(|_| ()), Some(()));
    let gone = one.antihate(&["node", "remove", "two", "--timeout", "120"]);
    assert!(gone.status.success(), "{}", said(&gone));
    are(&one, &["one ready"]);
    until("the removed host says so", PATIENCE, || {
        let status: serde_json::Value = serde_json::from_slice(&two.antihate(&["status", "--json"]).stdout).ok()?;
        status.to_string().contains("HST-105").then_some(())
    });
    stop(&two, &mut second);
    let reset = two.antihate(&["reset", "--yes"]);
    assert!(reset.status.success(), "{}", said(&reset));
    // Its old keys are nothing to the API servers any more, and it may come again.
    let closed = std::fs::read_to_string(one.data().join("kubernetes/etc/authorization.yaml")).expect("who may do what");
    assert!(closed.contains("removed-hosts") && closed.contains("antihate:id:"), "{closed}");
    let mut second = joins(&one, &two, "two", &["--pool", "analysis"], &["one ready", "two ready"]);
    let taint = until("the node is there", PATIENCE, || kubectl(&one, &["get", "node", "two", "-o", "jsonpath={.metadata.labels.node-type} {.spec.taints[?(@.key==\"workload-type\")].value}"]));
    assert_eq!(taint.trim(), "analysis analysis");
    assert!(posts(&one) > 0);
    lost_nothing(&one);
    stop(&two, &mut second);
    stop(&one, &mut first);
}

#[test]
#[ignore = "takes about eight minutes. `cargo test --release --test it -- --ignored joined::three`"]
fn three_control_planes_lose_any_one_of_them_and_nothing_else() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let (one, two, three) = (switch.host(), switch.host(), switch.host());
    let mut first = first(&one);
    let before = posts(&one);
    let begun = Instant::now();
    let [mut second, mut third] = two_more_control_planes(&one, &two, &three);
    println!("three control planes {:.0} s after the first code, SQLite left for etcd in place", begun.elapsed().as_secs_f64());
    assert!(posts(&one) > before);
    voting(&one, 3);

    // Each one is lost as by a power cut, and the others go on being changed; the one that is back knows of it.
    let names = ["one", "two", "three"];
    for lost in 0..3 {
        let all = [&one, &two, &three];
        let by = all[(lost + 1) % 3];
        let mark = format!("while-{}-was-lost", names[lost]);
        all[lost].link(false);
        let begun = Instant::now();
        until("a change is taken", PATIENCE, || kubectl(by, &["create", "configmap", &mark, "-n", "default"]));
        println!("without {}: a change is taken after {:.1} s", names[lost], begun.elapsed().as_secs_f64());
        all[lost].link(true);
        until("the host that was cut off knows of the change", PATIENCE, || kubectl(all[lost], &["get", "configmap", &mark, "-n", "default"]));
        are(by, &["one ready", "three ready", "two ready"]);
    }

    // One is lost for good and replaced.
    kill_host_process(&mut third);
    drop(three.antihate(&["reset", "--yes"]));
    let gone = one.antihate(&["node", "remove", "three", "--force"]);
    assert!(gone.status.success(), "{}", said(&gone));
    let mut third = join(&three, "three", &code(&two, &["--control"]));
    are(&two, &["one ready", "three ready", "two ready"]);
    voting(&two, 3);
    let mark = until("what was written before is there", PATIENCE, || kubectl(&three, &["get", "configmap", "while-one-was-lost", "-n", "default", "-o", "name"]));
    assert!(mark.contains("configmap/"));
    one.healthy();
    lost_nothing(&one);
    stop(&three, &mut third);
    stop(&two, &mut second);
    stop(&one, &mut first);
}

/// Waits until so many members of etcd have a vote.
pub fn voting(host: &TestHost, wanted: usize) {
    let pki = host.data().join("pki");
    let file = |name: &str| pki.join(name).display().to_string();
    let list = || {
        let mut ask = host.command("sh");
        let script = format!("exec -a etcdctl {} --endpoints=https://127.0.0.1:2379 --cacert={} --cert={} --key={} member list -w json", host.data().join("current/kubernetes").display(), file("trust.crt"), file("etcd-client.crt"), file("etcd-client.key"));
        let out = ask.args(["-c", &format!("bash -c '{script}'")]).output().expect("etcdctl");
        let told: serde_json::Value = serde_json::from_slice(&out.stdout).ok()?;
        Some(told["members"].as_array()?.iter().filter(|m| m["isLearner"] != true).count())
    };
    until(&format!("{wanted} members have a vote"), PATIENCE, || list().filter(|n| *n == wanted));
}
