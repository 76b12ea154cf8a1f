//! IPv4 and IPv6 side by side on the complete file: pods, services, node ports and cluster DNS by both, policies that hold for both,
//! nobody speaks under another's address; on one host, and between two.

use crate::joined::{are, code, first, join};
use crate::netpol::idle;
use crate::node::stop;
use crate::support::pods::{self, Prober, apply, kubectl};
use crate::support::testhost::{Switch, TestHost};
use crate::support::{needs_the_file, said, until};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

/// Guards against hanging forever; no promise about time.
const PATIENCE: Duration = Duration::from_secs(400);
const PORT: u16 = 7000;
/// The port of the service at every host's own address.
const NODE_PORT: u16 = 30700;

/// A pod with an address of each family.
struct Both {
    v4: String,
    v6: String,
    /// A process in its network namespace.
    pid: i32,
}

fn write_settings(host: &TestHost, stack: &str) {
    std::fs::create_dir_all(host.data()).expect("the data root");
    std::fs::write(host.data().join("settings.toml"), format!("[network]\nstack = \"{stack}\"\n")).expect("settings");
}

fn told(host: &TestHost, args: &[&str]) -> Value {
    let text = until(&format!("kubectl {args:?}"), PATIENCE, || kubectl(host, &[args, &["-o", "json"]].concat()));
    serde_json::from_str(&text).expect("JSON")
}

/// A pod called `name`, on the node `node`.
fn start(by: &TestHost, name: &str, node: &str) -> Both {
    let mut pod = idle("default", name, json!({"app": name}));
    pod["spec"]["nodeName"] = node.into();
    apply(by, &[pod]);
    let pid = until("the pod runs", PATIENCE, || pods::all(by)?.into_iter().find(|p| p.name == format!("default/{name}"))).pid;
    let ips = told(by, &["get", "pod", name])["status"]["podIPs"].clone();
    let ip = |n: usize| ips[n]["ip"].as_str().unwrap_or_else(|| panic!("two addresses: {ips}")).to_owned();
    assert!(ip(0).starts_with("10.42.") && ip(1).starts_with("fd00:42:"), "{ips}");
    Both { v4: ip(0), v6: ip(1), pid }
}

fn ask(patience: u32, targets: &[(&str, u16)]) -> Value {
    json!({"do": "ask", "patience": patience, "targets": targets})
}

/// What the pod hears at these addresses, by `name as address`, each asked until `wanted` is heard there.
fn hears(pod: &Both, targets: &[(&str, u16)], wanted: &[&str]) {
    let mut last = Value::Null;
    let heard = |said: &Value| match said.as_array().map(Vec::as_slice) {
        Some([name, address]) => format!("{} as {}", name.as_str().unwrap_or_default(), address.as_str().unwrap_or_default()),
        _ => "nothing".into(),
    };
    let agrees = |last: &Value| last.as_array().is_some_and(|all| all.len() == wanted.len() && all.iter().map(heard).eq(wanted.iter().copied()));
    for _ in 0..30 {
        last = Prober::inside(pod.pid, &ask(2, targets)).next();
        if agrees(&last) {
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    panic!("asked at {targets:?}, wanted {wanted:?}, heard {last}");
}

/// A service of both families for the pod `name`, at [`NODE_PORT`] too; its addresses.
fn service(by: &TestHost, name: &str) -> [String; 2] {
    apply(by, &[json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "NodePort", "ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"], "selector": {"app": name}, "ports": [{"port": 80, "targetPort": PORT, "nodePort": NODE_PORT}]},
    })]);
    let ips = told(by, &["get", "service", name])["spec"]["clusterIPs"].clone();
    let ip = |n: usize| ips[n].as_str().unwrap_or_else(|| panic!("two addresses: {ips}")).to_owned();
    assert!(ip(0).starts_with("10.43.") && ip(1).starts_with("fd00:43:"), "{ips}");
    [ip(0), ip(1)]
}

/// Opens the pods `name` to these blocks only.
fn only(by: &TestHost, name: &str, blocks: &[Value]) {
    let from: Vec<Value> = blocks.iter().map(|b| json!({"ipBlock": b})).collect();
    let ingress = if from.is_empty() { json!([]) } else { json!([{"from": from}]) };
    apply(by, &[json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "default"},
        "spec": {"podSelector": {"matchLabels": {"app": name}}, "policyTypes": ["Ingress"], "ingress": ingress},
    })]);
}

/// Policies hold for both families, each address by itself, with and without exceptions.
fn policies_hold(by: &TestHost, from: &Both, to: &Both) {
    let (both, as4, as6) = ([(to.v4.as_str(), PORT), (to.v6.as_str(), PORT)], format!("server as {}", from.v4), format!("server as {}", from.v6));
    hears(from, &both, &[&as4, &as6]);
    only(by, "server", &[]);
    hears(from, &both, &["nothing", "nothing"]);
    only(by, "server", &[json!({"cidr": format!("{}/128", from.v6)})]);
    hears(from, &both, &["nothing", &as6]);
    only(by, "server", &[json!({"cidr": "::/0", "except": [format!("{}/128", from.v6)]}), json!({"cidr": "0.0.0.0/0"})]);
    hears(from, &both, &[&as4, "nothing"]);
    assert!(kubectl(by, &["delete", "networkpolicy", "server"]).is_some());
    hears(from, &both, &[&as4, &as6]);
}

/// A pod that answers by both families, behind a service of both, and one on the first host that asks.
struct Served {
    server: Both,
    client: Both,
    serving: Prober,
    service: [String; 2],
}

/// Starts them, the one that answers on the node `node`. Who asks is known by his own address, also through a service, and policies hold.
fn served(by: &TestHost, node: &str) -> Served {
    let (server, client) = (start(by, "server", node), start(by, "client", "one"));
    let serving = Prober::inside(server.pid, &json!({"do": "greet", "port": PORT, "name": "server"}));
    assert_eq!(serving.next(), "serving");
    let service = service(by, "server");
    let (as4, as6) = (format!("server as {}", client.v4), format!("server as {}", client.v6));
    hears(&client, &[(&service[0], 80), (&service[1], 80)], &[&as4, &as6]);
    policies_hold(by, &client, &server);
    Served { server, client, serving, service }
}

/// Under its own address a pod is heard, under another's or a made-up one it is not.
fn nobody_speaks_for_another(from: &Both, to: &Both) {
    let listening = Prober::inside(to.pid, &json!({"do": "hear", "port": 7001}));
    assert_eq!(listening.next(), "listening");
    let in_the_pod = |args: &[&str]| {
        let done = Command::new("nsenter").args(["--target", &from.pid.to_string(), "--net", "--", "ip"]).args(args).output().expect("ip");
        assert!(done.status.success(), "{args:?}: {}", said(&done));
    };
    let others = ["10.42.0.250/32", "fd00:42::7777/128", "2001:db8::7/128"];
    others.iter().for_each(|taken| in_the_pod(&["address", "add", taken, "dev", "eth0", "nodad"]));
    for (own, target) in [("fd00:42::7777", &to.v6), ("2001:db8::7", &to.v6), ("10.42.0.250", &to.v4), (&from.v4, &to.v4), (&from.v6, &to.v6)] {
        assert_eq!(Prober::inside(from.pid, &json!({"do": "say", "from": own, "address": target, "port": 7001})).next(), "said");
    }
    others.iter().for_each(|taken| in_the_pod(&["address", "del", taken, "dev", "eth0"]));
    assert_eq!([listening.next(), listening.next()], [json!(from.v4), json!(from.v6)]);
    assert_eq!(listening.end(), Vec::<Value>::new());
}

#[test]
#[ignore = "takes about two minutes. `cargo test --release --test it -- --ignored dual::a_node`"]
fn a_node_with_both_families_carries_pods_services_dns_and_policies_by_both() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    write_settings(&host, "dual");
    let mut node = first(&host);
    let addresses = told(&host, &["get", "node", "one"])["status"]["addresses"].clone();
    let internal: Vec<&str> = addresses.as_array().into_iter().flatten().filter(|a| a["type"] == "InternalIP").filter_map(|a| a["address"].as_str()).collect();
    assert_eq!(internal, [host.address.as_str(), "fd00:42::"]);

    let Served { server, client, serving, service: [service4, service6] } = served(&host, "one");
    nobody_speaks_for_another(&client, &server);
    // By way of a node port who asks is known by the node's own.
    let by_the_host = until("the host itself is heard by both, through services and node ports", PATIENCE, || {
        let all = [(service4.as_str(), 80), (service6.as_str(), 80), (host.address.as_str(), NODE_PORT), ("fd00:42::", NODE_PORT)];
        Some(Prober::on(&host, &ask(2, &all)).next()).filter(|heard| heard.as_array().is_some_and(|all| all.iter().all(|one| one[0] == "server")))
    });
    println!("by the host itself: {by_the_host}");
    let dns = told(&host, &["get", "service", "-n", "kube-system", "kube-dns"])["spec"]["clusterIPs"].clone();
    let targets = json!([[dns[0], 53, "UDP"], [dns[1], 53, "UDP"]]);
    assert_eq!(Prober::inside(client.pid, &json!({"do": "matrix", "patience": 5, "targets": targets})).next(), json!([0, 1]), "cluster DNS answers at {dns}");

    // What was chosen stays, also where the settings do not say it any more; another choice is refused.
    serving.end();
    stop(&host, &mut node);
    write_settings(&host, "ipv4");
    let refused = host.antihate(&["up", "--node-ip", &host.address, "--name", "one"]);
    assert!(!refused.status.success() && said(&refused).contains("PLC-105"), "{}", said(&refused));
    let reset = host.antihate(&["reset", "--yes"]);
    assert!(reset.status.success(), "{}", said(&reset));
    until("nothing of it is left", PATIENCE, || {
        let left = host.command("sh").args(["-c", "ip -6 addr; ip -6 route show table all; nft list tables"]).output().expect("ip");
        (!said(&left).contains("fd00:4") && !said(&left).contains("antihate")).then_some(())
    });
}

#[test]
#[ignore = "takes about two minutes. `cargo test --release --test it -- --ignored dual::two`"]
fn two_hosts_with_both_families_carry_them_through_the_mesh() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let (one, two) = (switch.host(), switch.host());
    write_settings(&one, "dual");
    let mut node = first(&one);
    // The joining host says nothing of it: it follows the cluster.
    let mut second = join(&two, "two", &code(&one, &[]));
    are(&one, &["one ready", "two ready"]);
    two.healthy();
    until("the node says both of its pods' ranges", PATIENCE, || {
        kubectl(&one, &["get", "node", "two", "-o", "jsonpath={.spec.podCIDRs}"]).filter(|ranges| ranges.contains("10.42.1.0/24") && ranges.contains("fd00:42:0:1::/64"))
    });
    let Served { server, service: [_, service6], serving, .. } = served(&one, "two");
    // The first host itself is another host to that pod, and is always let in.
    let heard = until("the other host itself is heard", PATIENCE, || {
        Some(Prober::on(&one, &ask(2, &[(&server.v4, PORT), (&server.v6, PORT), (&service6, 80)])).next()).filter(|heard| heard.as_array().is_some_and(|all| all.iter().all(|one| one[0] == "server")))
    });
    assert_eq!([&heard[1][1], &heard[2][1]], ["fd00:42::", "fd00:42::"]);
    drop(serving);

    // Settings that ask for another one than the cluster's.
    stop(&two, &mut second);
    write_settings(&two, "ipv4");
    let refused = two.antihate(&["up", "--node-ip", &two.address, "--name", "two"]);
    assert!(!refused.status.success() && said(&refused).contains("PLC-105"), "{}", said(&refused));
    stop(&one, &mut node);
}
