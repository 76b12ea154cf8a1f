//! Network policies on the complete file in a test host: the real N×N reachability, a policy that changes under traffic, pods
//! that are closed from their first packet on, and rules that outlive a killed host process.

use crate::support::pods::{self, Pod, Prober, apply, kubectl};
use crate::support::testhost::{Switch, TestHost};
use crate::support::{needs_the_file, until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Child;
use std::time::Duration;

/// Guards against hanging forever; no promise about time.
const PATIENCE: Duration = Duration::from_secs(600);
/// New pods that are tried in the tight loop.
const NEW_PODS: usize = 12;
const TCP: [u16; 10] = [9, 53, 1053, 5432, 6443, 8080, 9090, 9091, 9092, 9153];
const UDP: [u16; 2] = [53, 1053];
/// Where a pod without labels is tried: not among the observers, whose quota is used up by themselves on a small host.
const NAMESPACES: [&str; 8] =
    ["antihate-system", "antihate-monitoring", "antihate-security", "antihate-analyzers", "antihate-storage", "antihate-coordination", "kube-system", "default"];

fn up(host: &TestHost) -> Child {
    host.start_antihate(&["up", "--sample", "--node-ip", &host.address, "--name", "leaf-1"], "up.log")
}

/// A pod that does nothing, from the image that every node has.
pub fn idle(namespace: &str, name: &str, labels: Value) -> Value {
    let room = json!({"cpu": "20m", "memory": "32Mi"});
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0, "enableServiceLinks": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "c", "image": "antihate.local/pause:3.10.2", "imagePullPolicy": "IfNotPresent", "resources": {"requests": room, "limits": room},
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

fn found(host: &TestHost, name: &str) -> Pod {
    until(name, PATIENCE, || pods::all(host)?.into_iter().find(|p| p.name == name))
}

/// `a -> b: TCP 1, UDP 2` for every pair of the declared list, with `everything` and `TCP` spelt out.
fn declared() -> BTreeMap<(String, String), BTreeSet<String>> {
    let every = |udp: bool| {
        let tcp = TCP.iter().map(|p| format!("TCP {p}"));
        tcp.chain(UDP.iter().filter(|_| udp).map(|p| format!("UDP {p}"))).collect::<BTreeSet<_>>()
    };
    let line = |line: &str| {
        let (pair, ports) = line.split_once(": ").expect("a declared line");
        let (from, to) = pair.split_once(" -> ").expect("a pair");
        let ports = match ports {
            "everything" => every(true),
            "TCP" => every(false),
            some => some.split(", ").map(str::to_owned).collect(),
        };
        ((from.to_owned(), to.to_owned()), ports)
    };
    include_str!("../golden/reachability.txt").lines().map(line).collect()
}

/// Every pair of pods, and of a host outside with them, tried with real connections from where they would come from.
fn the_real_matrix_is_the_declared_list(host: &TestHost, outside: &TestHost) {
    let strangers: Vec<Value> = NAMESPACES.iter().map(|ns| idle(ns, "stranger", json!({}))).collect();
    apply(host, &strangers);
    let pods = until("every pod runs", PATIENCE, || pods::all(host).filter(|all| all.iter().filter(|p| p.name.ends_with("/stranger")).count() == NAMESPACES.len()));
    // The declared list calls a pod without labels `*`.
    let mut places: Vec<(String, String)> = pods.iter().map(|p| (p.name.replace("/stranger", "/*"), p.ip.clone())).collect();
    places.push(("outside".into(), outside.address.clone()));
    assert!(outside.command("ip").args(["route", "add", "10.42.0.0/16", "via", &host.address]).status().expect("ip").success());
    let ports: Vec<(u16, &str)> = TCP.iter().map(|p| (*p, "TCP")).chain(UDP.iter().map(|p| (*p, "UDP"))).collect();
    let targets: Vec<Value> = places.iter().flat_map(|(_, ip)| ports.iter().map(move |(p, protocol)| json!([ip, p, protocol]))).collect();
    let told = json!({"do": "matrix", "patience": 3, "targets": targets});
    let mut real: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut tried = 0;
    // All at once: most of the time is waiting for what does not answer.
    let probers: Vec<Prober> = pods.iter().map(|pod| Prober::inside(pod.pid, &told)).chain([Prober::on(outside, &told)]).collect();
    for ((from, _), prober) in places.iter().zip(probers) {
        let reached: Vec<usize> = serde_json::from_value(prober.next()).expect("a list of numbers");
        for at in reached {
            let ((to, _), (port, protocol)) = (&places[at / ports.len()], ports[at % ports.len()]);
            real.entry((from.clone(), to.clone())).or_default().insert(format!("{protocol} {port}"));
        }
        tried += targets.len();
    }
    let myself: BTreeSet<(String, String)> = places.iter().map(|(name, _)| (name.clone(), name.clone())).collect();
    real.retain(|pair, _| !myself.contains(pair));
    let mut wanted = declared();
    wanted.retain(|(from, to), _| [from, to].into_iter().all(|name| myself.contains(&(name.clone(), name.clone()))));
    assert!(wanted.len() > 40, "nearly everything that is declared is tried");
    let odd: Vec<String> = real.keys().chain(wanted.keys()).collect::<BTreeSet<_>>().into_iter().filter(|k| real.get(k) != wanted.get(k)).map(|k| format!("{k:?}: real {:?}, declared {:?}", real.get(k), wanted.get(k))).collect();
    assert!(odd.is_empty(), "{}", odd.join("\n"));
    println!("matrix: {} places, {tried} connections tried, {} pairs reachable, exactly those of the declared list", places.len(), real.len());
}

/// A policy for the pods with this label in `default`.
fn policy(name: &str, label: &str, ingress: Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "default"},
        "spec": {"podSelector": {"matchLabels": {"app": label}}, "policyTypes": ["Ingress"], "ingress": ingress},
    })
}

fn now() -> f64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs_f64()
}

/// One connection, one line every 20 ms, while the policies change.
fn a_policy_changes_under_traffic(host: &TestHost) {
    apply(host, &[idle("default", "server", json!({"app": "server"})), idle("default", "client", json!({"app": "client"}))]);
    let (server, client) = (found(host, "default/server"), found(host, "default/client"));
    let serving = Prober::inside(server.pid, &json!({"do": "serve", "port": 7000}));
    assert_eq!(serving.next(), "serving");
    let talk = Prober::inside(client.pid, &json!({"do": "echo", "address": server.ip, "port": 7000}));
    assert_eq!(talk.next()["flowing"], true);
    let mut measured = Vec::new();
    let from_client = json!([{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": 7000, "endPort": 7001}]}]);
    for (word, ingress, flowing) in [("closed", json!([]), false), ("opened by range", from_client.clone(), true), ("closed again", json!([]), false)] {
        let begun = now();
        apply(host, &[policy("changing", "server", ingress)]);
        let said = talk.next();
        assert_eq!(said["flowing"], flowing, "{word}");
        measured.push(format!("{word}: {:.2} s after kubectl began", said["at"].as_f64().expect("a time") - begun));
    }
    kubectl(host, &["delete", "networkpolicy", "-n", "default", "changing"]).expect("deleted");
    assert_eq!(talk.next()["flowing"], true, "the same connection goes on when the policy is gone");
    println!("under traffic, one connection: {}", measured.join(", "));
}

/// Addresses that the next pods will get: the plugin goes round its range.
fn next_addresses(host: &TestHost) -> Vec<String> {
    let last = std::fs::read_to_string(host.data().join("kubernetes/cni/antihate/last_reserved_ip.0")).expect("a pod was made before");
    let last: u8 = last.trim().rsplit('.').next().and_then(|n| n.parse().ok()).expect("an address");
    (1..=24).map(|n| format!("10.42.0.{}", (u32::from(last) + n - 2) % 253 + 2)).collect()
}

/// New pods under fire from before they exist. Those with a policy are never reached; one without is, so the fire is real.
fn new_pods_are_closed_from_the_first_packet(host: &TestHost, attacker: &Pod) {
    let in_use: BTreeSet<String> = pods::all(host).expect("pods").into_iter().map(|p| p.ip).collect();
    let aim: Vec<Value> = next_addresses(host).into_iter().filter(|ip| !in_use.contains(ip)).map(|ip| json!([ip, 9, "TCP"])).collect();
    let fire = Prober::inside(attacker.pid, &json!({"do": "watch", "patience": 0.02, "targets": aim}));
    assert_eq!(fire.next(), "watching");
    for n in 0..NEW_PODS {
        let name = format!("new-{n}");
        apply(host, &[policy(&name, &name, json!([])), idle("default", &name, json!({"app": name}))]);
        let pod = found(host, &format!("default/{name}"));
        assert!(aim.iter().any(|t| t[0] == pod.ip), "the address {} was foreseen", pod.ip);
        std::thread::sleep(Duration::from_millis(700));
        kubectl(host, &["delete", "pod", "-n", "default", &name]).expect("deleted");
    }
    let reached = fire.said();
    assert_eq!(reached, Vec::<Value>::new(), "a new pod was reached before its policy held");
    let made = now();
    apply(host, &[idle("default", "plain", json!({"app": "plain"}))]);
    let plain = found(host, "default/plain");
    let hit = fire.next();
    assert_eq!(hit["reached"], plain.ip);
    let tries = fire.end().last().expect("a count")["tries"].clone();
    println!("{NEW_PODS} new pods under {tries} rounds at {} addresses: none reached; one without a policy {:.2} s after kubectl began", aim.len(), hit["at"].as_f64().expect("a time") - made);
}

fn table(host: &TestHost) -> String {
    let out = host.command("nft").args(["list", "table", "inet", "antihate-policy"]).output().expect("nft");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Kills the host process and starts it again, under fire at what is closed and at what is open.
fn the_rules_outlive_the_host_process(host: &TestHost, node: &mut Child, attacker: &Pod) {
    let at = |pod: &str| found(host, pod).ip;
    let (closed, open) = (at("antihate-storage/postgres"), at("default/plain"));
    let told = |ip: &str, port: u16, patience: f64| json!({"do": "watch", "patience": patience, "targets": [[ip, port, "TCP"]]});
    let (fire, ask) = (Prober::inside(attacker.pid, &told(&closed, 5432, 0.05)), Prober::inside(attacker.pid, &told(&open, 9, 1.0)));
    assert!(fire.next() == "watching" && ask.next() == "watching");
    let before = table(host);
    drop((node.kill(), node.wait()));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(table(host), before, "the rules stay as they were");
    let asked = ask.said().len();
    *node = up(host);
    let status = host.healthy();
    let component = status["components"].as_array().expect("a list").iter().find(|c| c["name"] == "network-policy").expect("it is a component").clone();
    assert_eq!(component["healthy"], true, "{component}");
    let answered = ask.end().len();
    assert!(asked > 10 && answered > 10, "what was open stays open: {asked} and {answered} answers");
    let said = fire.end();
    assert_eq!(said.len(), 1, "what is closed stays closed: {said:?}");
    println!("host process killed and started again: {} tries at the database, none came through; {} answers of an open pod; {}", said[0]["tries"], asked + answered, component["detail"]);
}

#[test]
fn the_declared_list_and_nothing_else_is_reachable_under_changes_new_pods_and_kills() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let (host, outside) = (switch.host(), switch.host());
    let mut node = up(&host);
    host.healthy();
    the_real_matrix_is_the_declared_list(&host, &outside);
    a_policy_changes_under_traffic(&host);
    let attacker = found(&host, "default/stranger");
    new_pods_are_closed_from_the_first_packet(&host, &attacker);
    the_rules_outlive_the_host_process(&host, &mut node, &attacker);
    let stopped = host.antihate(&["stop"]);
    assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
    drop(node.wait());
    let reset = host.antihate(&["reset", "--yes"]);
    assert!(reset.status.success(), "{}", String::from_utf8_lossy(&reset.stderr));
    assert_eq!(table(&host), "", "a reset leaves no table");
}
