//! The name on the local network, asked for by multicast from another host with a question and a reader written here: real links,
//! real packets, two hosts with one name, networks that become one, links that come and go.

use crate::mesh::{inside, ip};
use crate::support::testhost::{Switch, TestHost, can_run};
use crate::support::until;
use antihate::discovery::{Name, Responder};
use antihate::web::address::is_outer;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Guards against hanging forever; no promise about time.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long answers to one question are gathered.
const ANSWERS: Duration = Duration::from_millis(700);
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;
/// Kinds of records.
const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// A responder at work in a test host.
struct Answering {
    names: Arc<Mutex<Vec<Name>>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Answering {
    fn start(host: &TestHost, name: Name) -> Answering {
        let (names, stop) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
        let (network, told, until) = (host.network(), names.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let responder = Responder { name, title: "Anti-Hate Node".into(), port: 8443, outer: Arc::new(is_outer) };
            let work = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            inside(&network, move || work().block_on(responder.run(|name| told.lock().expect("held").push(name.clone()), until)));
        });
        Answering { names, stop, thread: Some(thread) }
    }

    /// The name that holds, once one does.
    fn holds(&self) -> Name {
        until("a name holds", PATIENCE, || self.now())
    }

    fn now(&self) -> Option<Name> {
        self.names.lock().expect("held").last().cloned()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.stop.cancel();
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// A record of an answer.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Address(IpAddr),
    Service(String),
    Port(u16),
}

/// Who asks: a socket in the namespace of a host without a responder of its own.
struct Asker(UdpSocket);

impl Asker {
    fn at(host: &TestHost) -> Asker {
        let address: Ipv4Addr = host.address.parse().expect("an address");
        // Without a default route the group has no link of its own.
        ip(host, &["route", "replace", "224.0.0.0/4", "dev", "eth0"]);
        let socket = inside(&host.network(), || {
            let socket = UdpSocket::bind(("0.0.0.0", PORT)).expect("the port is free");
            socket.join_multicast_v4(&GROUP, &address).expect("the group is joined");
            socket
        });
        socket.set_multicast_ttl_v4(255).expect("set");
        Asker(socket)
    }

    /// Everything that is answered to a question for `name`.
    fn ask(&self, name: &str, kind: u16) -> BTreeSet<Found> {
        self.0.set_nonblocking(true).expect("set");
        while self.0.recv_from(&mut [0; 9000]).is_ok() {}
        self.0.set_nonblocking(false).expect("set");
        let mut question = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            question.push(u8::try_from(label.len()).expect("a label"));
            question.extend(label.as_bytes());
        }
        question.push(0);
        question.extend(kind.to_be_bytes());
        question.extend([0, 1]);
        self.0.send_to(&question, (GROUP, PORT)).expect("sent");
        let (end, mut found, mut buffer) = (Instant::now() + ANSWERS, BTreeSet::new(), [0; 9000]);
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
            self.0.set_read_timeout(Some(left)).expect("set");
            if let Ok((length, _)) = self.0.recv_from(&mut buffer) {
                found.extend(read(&buffer[..length], name));
            }
        }
        found
    }

    /// Addresses of a name, both families.
    fn addresses(&self, name: &str) -> BTreeSet<IpAddr> {
        let both = [self.ask(name, A), self.ask(name, AAAA)];
        both.into_iter().flatten().filter_map(|f| if let Found::Address(ip) = f { Some(ip) } else { None }).collect()
    }
}

/// A name in a packet, and where it ends.
fn name_at(packet: &[u8], mut at: usize) -> (String, usize) {
    let (mut labels, mut end) = (Vec::new(), None);
    loop {
        let length = usize::from(packet[at]);
        if length >= 0xc0 {
            end = end.or(Some(at + 2));
            at = (length & 0x3f) << 8 | usize::from(packet[at + 1]);
        } else if length == 0 {
            return (labels.join("."), end.unwrap_or(at + 1));
        } else {
            labels.push(String::from_utf8_lossy(&packet[at + 1..=at + length]).into_owned());
            at += length + 1;
        }
    }
}

/// Records of an answer that belong to `name`, and ports of services; a question has none.
fn read(packet: &[u8], name: &str) -> Vec<Found> {
    let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let (mut at, mut found) = (12, Vec::new());
    for _ in 0..number(4) {
        at = name_at(packet, at).1 + 4;
    }
    let is_answer = packet[2] & 0x80 != 0;
    for _ in 0..number(6) + number(8) + number(10) {
        let (owner, begin) = name_at(packet, at);
        let (kind, data) = (number(begin), begin + 10);
        at = data + usize::from(number(begin + 8));
        let bytes = &packet[data..at];
        let ours = owner.eq_ignore_ascii_case(name);
        match kind {
            A if ours => found.push(Found::Address(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).expect("four bytes")).into())),
            AAAA if ours => found.push(Found::Address(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).expect("sixteen bytes")).into())),
            PTR if ours => found.push(Found::Service(name_at(packet, data).0)),
            SRV => found.push(Found::Port(number(data + 4))),
            _ => {}
        }
    }
    if is_answer { found } else { Vec::new() }
}

fn set(all: &[&str]) -> BTreeSet<IpAddr> {
    all.iter().map(|ip| ip.parse().expect("an address")).collect()
}

#[test]
fn a_host_answers_to_its_name_with_the_addresses_of_real_links_alone() {
    if !can_run() {
        return;
    }
    let switch = Switch::new();
    let (leaf, other) = (switch.host(), switch.host());
    ip(&leaf, &["address", "add", "fd00:5::10/64", "dev", "eth0", "nodad"]);
    for inner in ["veth7", "cni0", "ah-mesh"] {
        ip(&leaf, &["link", "add", inner, "type", "bridge"]);
        ip(&leaf, &["address", "add", "198.51.100.7/24", "dev", inner]);
        ip(&leaf, &["link", "set", inner, "up"]);
    }
    let answering = Answering::start(&leaf, Name::wished("leaf"));
    assert_eq!(answering.holds().full(), "leaf.local");
    let asker = Asker::at(&other);
    until("both families are answered", PATIENCE, || (asker.addresses("leaf.local") == set(&[&leaf.address, "fd00:5::10"])).then_some(()));
    assert!(asker.addresses("somebody.local").is_empty());
    let page = asker.ask("_https._tcp.local", PTR);
    assert!(page.contains(&Found::Service("Anti-Hate Node leaf._https._tcp.local".into())) && page.contains(&Found::Port(8443)), "{page:?}");
    // An address that comes, and one that goes.
    ip(&leaf, &["address", "add", "192.0.2.77/24", "dev", "eth0"]);
    ip(&leaf, &["address", "del", "fd00:5::10/64", "dev", "eth0"]);
    until("addresses are followed", PATIENCE, || (asker.addresses("leaf.local") == set(&[&leaf.address, "192.0.2.77"])).then_some(()));
}

#[test]
fn of_two_hosts_with_one_name_one_takes_a_number() {
    if !can_run() {
        return;
    }
    let switch = Switch::new();
    let (a, b, c, other) = (switch.host(), switch.host(), switch.host(), switch.host());
    // At the same moment.
    let at_once = [Answering::start(&a, Name::wished("leaf-1")), Answering::start(&b, Name::wished("leaf-1"))];
    let settled = || {
        let now: BTreeSet<String> = at_once.iter().filter_map(|x| x.now()).map(|n| n.full()).collect();
        (now == BTreeSet::from(["leaf-1.local".into(), "leaf-1-2.local".into()])).then_some(())
    };
    until("each has a name of its own", PATIENCE, settled);
    let asker = Asker::at(&other);
    let first = at_once[0].holds().full() == "leaf-1.local";
    let (winner, loser) = if first { (&a, &b) } else { (&b, &a) };
    until("both answer", PATIENCE, || (asker.addresses("leaf-1.local") == set(&[&winner.address]) && asker.addresses("leaf-1-2.local") == set(&[&loser.address])).then_some(()));
    // Later.
    let third = Answering::start(&c, Name::wished("leaf-1"));
    until("the third has the third", PATIENCE, || (third.now().map(|n| n.full()).as_deref() == Some("leaf-1-3.local")).then_some(()));
    until("the third answers", PATIENCE, || (asker.addresses("leaf-1-3.local") == set(&[&c.address])).then_some(()));
    assert_eq!(asker.addresses("leaf-1.local"), set(&[&winner.address]));
}

#[test]
fn two_networks_that_become_one_leave_one_host_with_the_name() {
    if !can_run() {
        return;
    }
    let switch = Switch::new();
    let (a, b, other) = (switch.host(), switch.host(), switch.host());
    [&a, &b].into_iter().for_each(|host| host.apart(true));
    let both = [Answering::start(&a, Name::wished("leaf")), Answering::start(&b, Name::wished("leaf"))];
    assert_eq!((both[0].holds().full(), both[1].holds().full()), ("leaf.local".into(), "leaf.local".into()));
    [&a, &b].into_iter().for_each(|host| host.apart(false));
    let asker = Asker::at(&other);
    let owners = || {
        let names: BTreeSet<String> = both.iter().filter_map(|x| x.now()).map(|n| n.full()).collect();
        (names.len() == 2 && asker.addresses("leaf.local").len() == 1 && asker.addresses("leaf-2.local").len() == 1).then_some(())
    };
    until("one of them has taken a number", PATIENCE, owners);
}

#[test]
fn two_links_of_one_host_on_one_segment_are_no_clash() {
    if !can_run() {
        return;
    }
    let switch = Switch::new();
    let (leaf, other) = (switch.host(), switch.host());
    switch.plug(&leaf, "eth1", "192.0.2.200");
    let answering = Answering::start(&leaf, Name::wished("leaf"));
    assert_eq!(answering.holds().full(), "leaf.local");
    let asker = Asker::at(&other);
    until("both addresses are told", PATIENCE, || (asker.addresses("leaf.local") == set(&[&leaf.address, "192.0.2.200"])).then_some(()));
    // Longer than a minute: it has doubted by then.
    std::thread::sleep(Duration::from_secs(70));
    assert_eq!(answering.holds().full(), "leaf.local");
}

#[test]
fn a_hundred_links_of_pods_come_and_go_and_it_still_answers() {
    if !can_run() {
        return;
    }
    let switch = Switch::new();
    let (leaf, other) = (switch.host(), switch.host());
    let script = |text: &str| {
        let out = leaf.command("sh").args(["-ec", text]).output().expect("sh runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    };
    let add = "for n in $(seq 100); do ip link add veth$n type veth peer name peer$n; ip addr add 10.42.$n.1/32 dev veth$n; ip link set veth$n up; ip link set peer$n up; done";
    let gone = "for n in $(seq 100); do ip link del veth$n; done";
    // More links than the kernel lets one socket join groups on, before the start.
    script(add);
    let answering = Answering::start(&leaf, Name::wished("leaf"));
    assert_eq!(answering.holds().full(), "leaf.local");
    let asker = Asker::at(&other);
    let answers = |when: &str| until(when, PATIENCE, || (asker.addresses("leaf.local") == set(&[&leaf.address])).then_some(()));
    answers("with a hundred links");
    for _ in 0..2 {
        script(gone);
        answers("without them");
        script(add);
        answers("with them again");
    }
    leaf.link(false);
    leaf.link(true);
    answers("after its own link was away");
    ip(&leaf, &["link", "set", "eth0", "down"]);
    std::thread::sleep(Duration::from_secs(8));
    ip(&leaf, &["link", "set", "eth0", "up"]);
    answers("after its own link was switched off");
    assert_eq!(answering.holds().full(), "leaf.local");
}
