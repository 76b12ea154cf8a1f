//! The open way between hosts: three of them on two segments, joined by flannel as it is carried; what crosses the wire, who can speak
//! for whom, lost ways, hosts that leave, and that nothing is left.

use crate::joined::{apply, are, closed, code, join, kubectl, pod_ip, up};
use crate::mesh::{Sniffer, arrives, at, enforce, ip, seen, silent, with_a_pod};
use crate::node::{kill_host_process, stop};
use crate::support::testhost::{Router, Switch, TestHost, can_run};
use crate::support::{needs_the_file, said, until};
use antihate::policy::{Carrier, OtherHost, Ways};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(400);
/// More than fits into one packet.
const MUCH: usize = 20_000;

fn show(host: &TestHost, what: &[&str]) -> String {
    String::from_utf8_lossy(&host.command("ip").args(what).output().expect("ip runs").stdout).into_owned()
}

/// The way to the pods of host number `index`, as `ip route` shows it.
fn way(host: &TestHost, index: u8) -> String {
    show(host, &["-o", "route", "show", &format!("10.42.{index}.0/24")]).trim().to_owned()
}

/// A pod that answers every connection at port 7000 with its name, whom it sees, and much more.
fn talker(name: &str, node: &str) -> Value {
    let image = antihate::manifests::images::POSTGRES;
    let script = format!("use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 7000, Listen => 20, ReuseAddr => 1) or die; while (my $c = $s->accept) {{ print $c \"$ENV{{HOSTNAME}} sees \" . $c->peerhost . \"\\n\" . ('x' x {MUCH}) . \"\\n\"; close $c }}");
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {
            "nodeName": node, "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "talker", "image": image, "imagePullPolicy": "Never", "command": ["perl", "-e", script]}],
        },
    })
}

/// What pod `from` hears at `address:7000`: the first line, if all the rest came too.
fn ask(by: &TestHost, from: &str, address: &str) -> Option<String> {
    let script = format!("use IO::Socket::INET; my $c = IO::Socket::INET->new(PeerAddr => '{address}', PeerPort => 7000, Timeout => 3) or exit 1; alarm 10; my @l = <$c>; exit 2 if length($l[1]) != {MUCH} + 1; print $l[0]");
    kubectl(by, &["exec", from, "--", "perl", "-e", &script]).map(|said| said.trim().to_owned())
}

/// `to` answers `from`, and sees it under its own address.
fn talk(by: &TestHost, from: &str, to: &str) {
    let (source, address) = (pod_ip(by, from), pod_ip(by, to));
    let wanted = format!("{to} sees {source}");
    until(&format!("{from} hears {to}, which sees it as it is"), PATIENCE, || ask(by, from, &address).filter(|said| *said == wanted));
}

const PAIRS: [(&str, &str); 6] = [("on-one", "on-two"), ("on-two", "on-one"), ("on-one", "on-three"), ("on-three", "on-one"), ("on-two", "on-three"), ("on-three", "on-two")];

fn all_talk(by: &TestHost) {
    PAIRS.iter().for_each(|(from, to)| talk(by, from, to));
}

struct Site {
    near: Switch,
    far: Switch,
    _router: Router,
    hosts: [TestHost; 3],
}

/// Two hosts on one segment and one on another, which a router connects.
fn site() -> Site {
    let (near, far) = (Switch::new(), Switch::numbered("198.51.100"));
    let router = Router::between(&[&near, &far]);
    let hosts = [near.host(), near.host(), far.host()];
    for host in &hosts[..2] {
        ip(host, &["route", "add", "198.51.100.0/24", "via", "192.0.2.1"]);
    }
    ip(&hosts[2], &["route", "add", "192.0.2.0/24", "via", "198.51.100.1"]);
    Site { near, far, _router: router, hosts }
}

fn write_settings(host: &TestHost, between: &str) {
    std::fs::create_dir_all(host.data()).expect("the data root");
    std::fs::write(host.data().join("settings.toml"), format!("[network]\nbetween = \"{between}\"\n")).expect("settings");
}

#[test]
#[ignore = "takes about five minutes. `cargo test --release --test it -- --ignored open::three`"]
fn three_hosts_on_two_segments_are_joined_without_encryption_by_flannel() {
    if !needs_the_file() {
        return;
    }
    let site = site();
    let [one, two, three] = &site.hosts;
    write_settings(one, "open");
    let mut first = up(one, "one");
    one.healthy();
    let begun = Instant::now();
    let mut second = join(two, "two", &code(one, &[]));
    are(one, &["one ready", "two ready"]);
    let mut third = join(three, "three", &code(one, &[]));
    are(one, &["one ready", "three ready", "two ready"]);
    ["one", "two", "three"].iter().for_each(|name| apply(one, &talker(&format!("on-{name}"), name)));
    all_talk(one);
    println!("three hosts joined and talking {:.0} s after the first code", begun.elapsed().as_secs_f64());
    site.hosts.iter().for_each(|host| drop(host.healthy()));
    let numbers = (number(one, "two"), number(one, "three"));
    the_ways_are_those_of_the_network_and_wrapped_between_segments(&site, numbers);
    services_and_policies_hold(one);
    everything_on_the_wire_is_plain(&site);
    lost_ways_come_back(&site, numbers.0);

    // A host process that is killed, and a host whose settings ask for another way than the cluster's.
    kill_host_process(&mut second);
    write_settings(two, "encrypted");
    let refused = two.antihate(&["up", "--node-ip", &two.address, "--name", "two"]);
    assert!(!refused.status.success() && said(&refused).contains("PLC-104"), "{}", said(&refused));
    std::fs::remove_file(two.data().join("settings.toml")).expect("it was there");
    second = two.start_bare(&["up", "--node-ip", &two.address, "--name", "two"], "up.log");
    two.healthy();
    all_talk(one);

    kubectl(one, &["delete", "pod", "on-one", "on-two", "on-three", "--wait=false"]).expect("deleted");
    for (name, host, process, number) in [("two", two, &mut second, numbers.0), ("three", three, &mut third, numbers.1)] {
        let gone = one.antihate(&["node", "remove", name, "--timeout", "120"]);
        assert!(gone.status.success(), "{}", said(&gone));
        until("the way to its pods is gone", PATIENCE, || way(one, number).is_empty().then_some(()));
        stop(host, process);
        nothing_of_flannel_is_left(host);
        let reset = host.antihate(&["reset", "--yes"]);
        assert!(reset.status.success(), "{}", said(&reset));
    }
    are(one, &["one ready"]);
    until("a host that is alone again has no link of flannel", PATIENCE, || (!show(one, &["-o", "link"]).contains("flannel")).then_some(()));
    one.healthy();
    stop(one, &mut first);
    nothing_of_flannel_is_left(one);
    assert!(!std::path::Path::new("/run/flannel").exists());
}

/// The number of a host: the third part of its pods' range, as its node says.
fn number(by: &TestHost, node: &str) -> u8 {
    let range = until("the node says its pods' range", PATIENCE, || kubectl(by, &["get", "node", node, "-o", "jsonpath={.spec.podCIDR}"]).filter(|r| !r.is_empty()));
    range.split('.').nth(2).and_then(|n| n.parse().ok()).expect("a range of a host")
}

fn the_ways_are_those_of_the_network_and_wrapped_between_segments(site: &Site, (two, three): (u8, u8)) {
    let [one, second, third] = &site.hosts;
    assert!(way(one, two).starts_with(&format!("10.42.{two}.0/24 via {} dev eth0", second.address)), "{}", way(one, two));
    assert!(way(second, 0).starts_with(&format!("10.42.0.0/24 via {} dev eth0", one.address)), "{}", way(second, 0));
    for (host, number) in [(one, three), (second, three), (third, 0), (third, two)] {
        assert!(way(host, number).starts_with(&format!("10.42.{number}.0/24 via 10.42.{number}.0 dev flannel.42")), "{}", way(host, number));
    }
    let link = show(one, &["-o", "-d", "link", "show", "flannel.42"]);
    assert!(link.contains("mtu 1450") && link.contains("vxlan id 42") && link.contains("dstport 8472"), "{link}");
    let links = show(one, &["-o", "link"]);
    assert!(!links.contains("ahm-"), "there is no encrypted way beside it: {links}");
    let status: Value = serde_json::from_slice(&one.antihate(&["status", "--json"]).stdout).expect("JSON");
    let hosts = status["components"].as_array().expect("a list").iter().find(|c| c["name"] == "hosts").expect("it is there");
    println!("{}", hosts["detail"]);
    assert_eq!(hosts["detail"], "3 hosts, open, not encrypted: 1 of 2 hosts directly, 1 by VXLAN");
}

fn services_and_policies_hold(one: &TestHost) {
    for to in ["on-two", "on-three"] {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": to, "namespace": "default"}, "spec": {"selector": {"app": to}, "ports": [{"port": 7000}]}});
        apply(one, &service);
        let address = until("the service has an address", PATIENCE, || kubectl(one, &["get", "service", to, "-o", "jsonpath={.spec.clusterIP}"]));
        let source = pod_ip(one, "on-one");
        until("a service leads to another host", PATIENCE, || ask(one, "on-one", &address).filter(|said| *said == format!("{to} sees {source}")));
        let address = pod_ip(one, to);
        apply(one, &closed(to));
        until("a policy cuts the way", PATIENCE, || ask(one, "on-one", &address).is_none().then_some(()));
        let mut from_one = closed(to);
        from_one["spec"]["ingress"] = json!([{"from": [{"podSelector": {"matchLabels": {"app": "on-one"}}}]}]);
        apply(one, &from_one);
        talk(one, "on-one", to);
        let other = if to == "on-two" { "on-three" } else { "on-two" };
        assert_eq!(ask(one, other, &address), None, "the policy lets nobody else in");
        kubectl(one, &["delete", "networkpolicy", to]).expect("deleted");
        talk(one, other, to);
    }
}

/// Said in the README: whoever listens reads.
fn everything_on_the_wire_is_plain(site: &Site) {
    for (segment, to) in [(&site.near, "on-two"), (&site.far, "on-three")] {
        let mut sniffer = Sniffer::on(segment);
        talk(&site.hosts[0], "on-one", to);
        let (all, plain) = sniffer.count(format!("{to} sees ").as_bytes());
        assert!(plain > 0, "none of {all} packets could be read");
        println!("{to}: {plain} of {all} packets on the segment hold what the pod said, readable");
    }
}

fn lost_ways_come_back(site: &Site, two: u8) {
    let [one, second, third] = &site.hosts;
    second.link(false);
    are(one, &["one ready", "three ready", "two not ready"]);
    talk(one, "on-one", "on-three");
    second.link(true);
    are(one, &["one ready", "three ready", "two ready"]);
    all_talk(one);
    // Flannel does not see these itself.
    let begun = Instant::now();
    ip(one, &["route", "del", &format!("10.42.{two}.0/24")]);
    talk(one, "on-one", "on-two");
    println!("a route that somebody took away is back after {:.0} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    ip(third, &["link", "del", "flannel.42"]);
    talk(one, "on-three", "on-one");
    println!("a link that somebody took away is back after {:.0} s", begun.elapsed().as_secs_f64());
    all_talk(one);
}

fn nothing_of_flannel_is_left(host: &TestHost) {
    let (links, routes) = (show(host, &["-o", "link"]), show(host, &["-o", "route"]));
    assert!(!links.contains("flannel") && !routes.contains("10.42."), "{links}{routes}");
}

#[test]
fn in_the_open_mode_nobody_but_a_host_wraps_packets_and_pods_keep_their_own_addresses() {
    if !can_run() {
        return;
    }
    let switch = Switch::new();
    let (host, pod, ways) = with_a_pod(&switch);
    // Another host of the cluster, and a stranger on the same segment who does what that one does.
    let (other, stranger) = (switch.host(), switch.host());
    wrapping(&host, 0, &[(&other, 1), (&stranger, 1)]);
    for end in [&other, &stranger] {
        wrapping(end, 1, &[(&host, 0)]);
        for ip_of in ["10.42.1.5", "10.42.7.5"] {
            ip(end, &["address", "add", &format!("{ip_of}/32"), "dev", "lo"]);
        }
    }
    let address = |text: &str| text.parse::<Ipv4Addr>().expect("an address");
    let own = at(&pod.network(), address("10.42.0.5"));
    let wrapped = |end: &TestHost, from: &str| at(&end.network(), address(from));
    for end in [&other, &stranger] {
        until("without rules both reach the pod", PATIENCE, || arrives(&wrapped(end, "10.42.1.5"), &own).then_some(()));
    }
    let known = OtherHost { address: address(&other.address), pods: "10.42.1.0/24".parse().expect("a block") };
    let open = Ways { between: Carrier::Open { link: "flannel.42".into(), port: 8472, uplink: Some("eth0".into()), hosts: vec![known] }, ..ways };
    enforce(&host, &open);
    until("what a host wraps arrives", PATIENCE, || arrives(&wrapped(&other, "10.42.1.5"), &own).then_some(()));
    assert!(silent(&wrapped(&stranger, "10.42.1.5"), &own), "a stranger's wrapping is not opened");
    assert!(silent(&wrapped(&other, "10.42.7.5"), &own), "nor is a host believed for pods that are not its own");
    // By the network itself.
    for end in [&other, &stranger] {
        ip(end, &["route", "replace", "10.42.0.0/24", "via", &host.address]);
    }
    ip(&host, &["route", "replace", "10.42.1.0/24", "via", &other.address]);
    until("what a host sends for its pods arrives", PATIENCE, || arrives(&wrapped(&other, "10.42.1.5"), &own).then_some(()));
    assert!(silent(&wrapped(&stranger, "10.42.7.5"), &own), "pods' addresses of no host");
    until("the other host itself is let in", PATIENCE, || arrives(&at(&other.network(), address(&other.address)), &own).then_some(()));
    // A pod that wraps packets could be anybody: they do not leave this host.
    let outer = |end: &TestHost| std::net::SocketAddr::from((address(&end.address), 8472));
    let catcher = |end: &TestHost, port: u16| {
        let socket = crate::mesh::inside(&end.network(), || std::net::UdpSocket::bind((address(&end.address), port)).expect("a port"));
        socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a limit");
        socket
    };
    ip(&other, &["link", "del", "flannel.42"]);
    let hears = |socket: &std::net::UdpSocket, to: std::net::SocketAddr| {
        (0..4).any(|_| own.send_to(b"wrapped", to).is_ok() && socket.recv_from(&mut [0; 64]).is_ok())
    };
    assert!(!hears(&catcher(&other, 8472), outer(&other)), "a pod sends wrapped packets to a host");
    let elsewhere = std::net::SocketAddr::from((address(&other.address), 8473));
    assert!(hears(&catcher(&other, 8473), elsewhere), "other ports are open to it");
    assert_eq!(until("a pod is hidden outside the cluster", PATIENCE, || seen(&own, &at(&stranger.network(), address(&stranger.address)))).to_string(), host.address);
}

/// A link that wraps, as flannel makes it, with the ways to the pods of other ends.
fn wrapping(host: &TestHost, index: u8, ends: &[(&TestHost, u8)]) {
    ip(host, &["link", "add", "flannel.42", "address", &mac(&host.address), "type", "vxlan", "id", "42", "local", &host.address, "dev", "eth0", "dstport", "8472", "nolearning"]);
    ip(host, &["address", "add", &format!("10.42.{index}.0/32"), "dev", "flannel.42"]);
    ip(host, &["link", "set", "flannel.42", "up"]);
    for (end, to) in ends {
        let forward = host.command("bridge").args(["fdb", "append", &mac(&end.address), "dev", "flannel.42", "dst", &end.address]).output().expect("bridge runs");
        assert!(forward.status.success(), "{}", String::from_utf8_lossy(&forward.stderr));
        ip(host, &["neighbour", "replace", &format!("10.42.{to}.0"), "lladdr", &mac(&end.address), "dev", "flannel.42", "nud", "permanent"]);
        ip(host, &["route", "replace", &format!("10.42.{to}.0/24"), "via", &format!("10.42.{to}.0"), "dev", "flannel.42", "onlink"]);
    }
}

fn mac(address: &str) -> String {
    format!("02:42:00:00:00:{:02x}", address.rsplit('.').next().and_then(|n| n.parse::<u8>().ok()).expect("an address"))
}
