//! The decision against the naive reading of the policies, the text against golden files and against nft itself.

use super::naive::Cluster;
use super::worlds::{self, NODE, RANGES};
use super::*;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn ranges() -> Vec<Net> {
    RANGES.map(|r| r.parse().unwrap()).to_vec()
}

fn ways() -> Ways {
    Ways { cluster: ["10.42.0.0/16", "fd00:42::/56"].map(|n| n.parse().unwrap()).to_vec(), between: Carrier::Mesh { link: "ah-mesh".into() } }
}

/// Two other hosts, each reached as it is or wrapped.
fn open_ways() -> Ways {
    let host = |n: u8| OtherHost { address: [192, 0, 2, 10 + n].into(), pods: format!("10.42.{n}.0/24").parse().unwrap() };
    let between = Carrier::Open { link: "flannel.42".into(), port: 8472, uplink: Some("eth0".into()), hosts: vec![host(1), host(2)] };
    Ways { cluster: vec!["10.42.0.0/16".parse().unwrap()], between }
}

fn rules(cluster: &Cluster) -> RuleSet {
    decide(&world(NODE, &cluster.pods, &cluster.namespaces, &cluster.policies, &Claims::new()), &ranges())
}

fn count(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn thousands_of_random_clusters_are_ruled_as_their_policies_say() {
    let (mut passed, mut stopped) = (0u64, 0u64);
    for seed in 0..count("ANTIHATE_POLICY_WORLDS", 3000) {
        let cluster = worlds::cluster(seed);
        let rules = rules(&cluster);
        for packet in worlds::packets(&cluster) {
            let wanted = cluster.passes(NODE, &ranges(), &packet);
            assert_eq!(rules.passes(&packet), wanted, "cluster {seed}, {packet:?}\n{rules:#?}\n{cluster:#?}");
            *(if wanted { &mut passed } else { &mut stopped }) += 1;
        }
    }
    println!("{passed} packets pass, {stopped} are stopped");
    assert!(passed > 10_000 && stopped > 10_000, "both kinds are asked about: {passed} {stopped}");
}

/// A pod of this node with a named port.
fn pod(name: &str, namespace: &str, ip: &str, port: u16) -> Value {
    json!({
        "metadata": {"name": name, "uid": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"nodeName": NODE, "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": port}]}]},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}]},
    })
}

/// A shop: the front may ask the back by the name of its port, the back may ask the world but not the inside of the house.
fn shop() -> Cluster {
    let policy = |name: &str, spec: Value| json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec});
    let policies = [
        policy("closed", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})),
        policy("front", json!({"podSelector": {"matchLabels": {"app": "front"}}, "ingress": [{}],
            "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "back"}}}], "ports": [{"port": "web"}]}]})),
        policy("back", json!({"podSelector": {"matchLabels": {"app": "back"}}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "front"}}}], "ports": [{"port": "web"}, {"protocol": "SCTP", "port": 7000, "endPort": 7010}]}],
            "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}, {"ipBlock": {"cidr": "2001:db8::/32"}}]}]})),
    ];
    let pods = [pod("front", "shop", "10.42.0.2", 80), pod("back", "shop", "10.42.0.3", 8080), pod("back-6", "shop", "fd00:42::3", 81), pod("guest", "street", "10.42.0.4", 1)];
    let read = |v: Value| serde_json::from_value(v).unwrap();
    Cluster {
        namespaces: ["shop", "street"].map(|n| serde_json::from_value(json!({"metadata": {"name": n}})).unwrap()).to_vec(),
        pods: pods.map(|p| serde_json::from_value(p).unwrap()).to_vec(),
        policies: policies.into_iter().map(read).collect(),
    }
}

fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/policy").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "{name} differs; UPDATE_GOLDEN=1 rewrites it");
}

fn rules_alone(script: &str) -> String {
    script.lines().filter(|l| l.starts_with("add rule")).map(|l| format!("{l}\n")).collect()
}

#[test]
fn the_rules_are_written_as_the_golden_files_say() {
    golden("base.nft", &base(&ranges(), &ways()));
    golden("open.nft", &rules_alone(&base(&ranges()[..1], &open_ways())));
    golden("shop.nft", &transaction(&rules(&shop()), &ways(), &[]));
}

#[test]
fn a_group_that_did_not_change_is_left_alone_and_one_that_nobody_names_goes() {
    let rules = rules(&shop());
    let kept = rules.groups.keys().next().unwrap();
    let there = [("chain", kept.clone()), ("chain", "to-00".into()), ("set", format!("{kept}-any4")), ("set", "to-00-any4".into())];
    let text = transaction(&rules, &ways(), &there);
    assert!(text.contains("delete chain inet antihate-policy to-00\ndelete set inet antihate-policy to-00-any4\n"), "{text}");
    assert!(!text.contains(&format!("add chain inet antihate-policy {kept}\n")) && !text.contains(&format!("delete chain inet antihate-policy {kept}")), "{text}");
}

#[test]
fn an_address_that_the_network_plugin_gave_counts_before_the_api_server_tells_of_it() {
    let mut cluster = shop();
    cluster.pods[3].status.as_mut().unwrap().pod_ips = None;
    let claims = Claims::from([("guest".to_string(), vec!["10.42.0.2".parse().unwrap()])]);
    let world = world(NODE, &cluster.pods, &cluster.namespaces, &cluster.policies, &claims);
    let owner = |ip: &str| world.pods.iter().filter(|p| p.addresses.contains(&ip.parse().unwrap())).map(|p| p.uid.clone()).collect::<Vec<_>>();
    assert_eq!(owner("10.42.0.2"), ["guest"], "the front's network is gone, its address is another's");
}

#[test]
fn two_pods_with_one_address_are_closed_until_one_gives_way() {
    let mut cluster = shop();
    cluster.pods[3].status.as_mut().unwrap().pod_ips = cluster.pods[0].status.as_ref().unwrap().pod_ips.clone();
    assert_eq!(rules(&cluster).arriving[&"10.42.0.2".parse().unwrap()], Verdict::Closed);
}

/// Feeds scripts to nft, one transaction after another as the enforcer does, in a network namespace of its own.
fn nft(scripts: &[String]) -> std::process::Output {
    let dir = tempfile::tempdir().unwrap();
    let file = |n: usize| dir.path().join(format!("{n:05}"));
    scripts.iter().enumerate().for_each(|(n, script)| std::fs::write(file(n), script).unwrap());
    Command::new("unshare").args(["--net", "sh", "-ec", "for script in \"$0\"/*; do nft -f \"$script\"; done"]).arg(dir.path()).output().unwrap()
}

#[test]
fn the_kernel_takes_the_rules_of_random_clusters_one_after_the_other() {
    let able = nix::unistd::geteuid().is_root() && Command::new("unshare").args(["--net", "nft", "--version"]).stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    if !able {
        eprintln!("SKIPPED: no root, no network namespaces, or no nft here");
        return;
    }
    // Not all in one transaction: the kernel may be growing a map while it flushes it, and then misses an element.
    let (mut scripts, mut before) = (vec![base(&ranges(), &ways())], Vec::new());
    for seed in 0..count("ANTIHATE_POLICY_WORLDS", 3000) / 20 {
        let rules = rules(&worlds::cluster(seed));
        scripts.push(transaction(&rules, &ways(), &before));
        before = objects(&rules);
    }
    scripts.push(base(&ranges(), &open_ways()));
    let alone = Ways { between: Carrier::Open { link: "flannel.42".into(), port: 8472, uplink: None, hosts: Vec::new() }, ..open_ways() };
    scripts.push(base(&ranges(), &alone));
    let out = nft(&scripts);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr).chars().take(3000).collect::<String>());
}

/// The chains and sets that a transaction for these rules makes.
fn objects(rules: &RuleSet) -> Vec<(&'static str, String)> {
    let made = transaction(rules, &ways(), &[]);
    let named = |kind: &'static str| -> Vec<(&'static str, String)> {
        let head = format!("add {kind} inet antihate-policy ");
        let names = made.lines().filter_map(|l| l.strip_prefix(&head)?.split(' ').next().map(str::to_owned));
        names.filter(|n| n.starts_with("to-") || n.starts_with("from-")).map(|n| (kind, n)).collect()
    };
    [named("chain"), named("set")].concat()
}
