//! A network policy with SCTP in the packet filter of a kernel that has it: what the policy allows is reached, by a real association.

use crate::mesh::{ip, with_a_pod};
use crate::support::pods::Prober;
use crate::support::testhost::{Switch, TestHost, can_run};
use antihate::config::place::pod_range;
use antihate::policy::{self, Claims};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

/// Protocol and port of everything that is tried.
const TRIED: [(&str, u16); 5] = [("SCTP", 7000), ("SCTP", 7010), ("SCTP", 7011), ("TCP", 7000), ("TCP", 8080)];

fn has_sctp() -> bool {
    let asked = std::process::Command::new("python3").args(["-c", "import socket; socket.socket(2, 1, 132)"]).stderr(Stdio::null()).status();
    let has = asked.is_ok_and(|s| s.success());
    if !has {
        eprintln!("SKIPPED: this kernel has no SCTP; `cargo test --release --test it -- --ignored machine::sctp` boots one that has");
    }
    has
}

fn api<T: serde::de::DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).expect("an object of the API")
}

/// One pod, which takes SCTP on a range of ports from the friend alone, and TCP on one port.
fn enforce(host: &TestHost, ways: &policy::Ways, friend: &str) {
    let pods: [Pod; 1] = [api(json!({
        "metadata": {"name": "back", "uid": "back", "namespace": "shop", "labels": {"app": "back"}},
        "spec": {"nodeName": "leaf", "containers": [{"name": "c"}]}, "status": {"phase": "Running", "podIPs": [{"ip": "10.42.0.5"}]},
    }))];
    let namespaces: [Namespace; 1] = [api(json!({"metadata": {"name": "shop"}}))];
    let ports = json!([{"protocol": "SCTP", "port": 7000, "endPort": 7010}, {"port": 8080}]);
    let policies: [NetworkPolicy; 1] = [api(json!({
        "metadata": {"name": "back", "namespace": "shop"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"ipBlock": {"cidr": format!("{friend}/32")}}], "ports": ports}]},
    }))];
    let world = policy::world("leaf", &pods, &namespaces, &policies, &Claims::new());
    let rules = policy::decide(&world, &[pod_range(0).parse().expect("a block")]);
    let mut nft = host.command(std::env::var_os("ANTIHATE_NFT").unwrap_or_else(|| "nft".into())).args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft starts");
    nft.stdin.take().expect("a pipe").write_all(policy::transaction(&rules, ways, &[]).as_bytes()).expect("written");
    assert!(nft.wait().expect("it ends").success());
}

/// What `from` reaches of the pod; a refusal comes from the pod, too.
fn reached(from: &TestHost) -> Vec<(&'static str, u16)> {
    let targets: Vec<Value> = TRIED.iter().map(|(protocol, port)| json!(["10.42.0.5", port, protocol])).collect();
    let found: Vec<usize> = serde_json::from_value(Prober::on(from, &json!({"do": "matrix", "patience": 2, "targets": targets})).next()).expect("numbers");
    found.into_iter().map(|n| TRIED[n]).collect()
}

#[test]
fn a_policy_with_sctp_opens_its_ports_to_whom_it_names_and_nothing_else() {
    if !can_run() || !has_sctp() {
        return;
    }
    let switch = Switch::new();
    let (host, pod, ways) = with_a_pod(&switch);
    let (friend, foe) = (switch.host(), switch.host());
    for other in [&friend, &foe] {
        ip(other, &["route", "add", "10.42.0.0/16", "via", &host.address]);
    }
    // Somebody who takes associations on the first port, and says so.
    let listen = "import socket, sys\ns = socket.socket(2, 1, 132)\ns.bind(('10.42.0.5', 7000))\ns.listen()\nprint('listens', flush=True)\nwhile True:\n    c, who = s.accept()\n    print(who[0], flush=True)";
    let mut listener = pod.command("python3").args(["-c", listen]).stdout(Stdio::piped()).spawn().expect("a listener");
    let mut heard = BufReader::new(listener.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert_eq!(heard.next().as_deref(), Some("listens"));
    for other in [&friend, &foe] {
        assert_eq!(reached(other), TRIED, "without rules everything is reached");
        assert_eq!(heard.next().as_deref(), Some(other.address.as_str()));
    }
    enforce(&host, &ways, &friend.address);
    assert_eq!(reached(&friend), [("SCTP", 7000), ("SCTP", 7010), ("TCP", 8080)]);
    assert_eq!(heard.next().as_deref(), Some(friend.address.as_str()), "a real association");
    assert_eq!(reached(&foe), []);
    drop((listener.kill(), listener.wait()));
}
