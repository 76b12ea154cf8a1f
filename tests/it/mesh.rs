//! The encrypted way between hosts, with the real programs and real packets: what arrives, what the segment between them sees,
//! cut links, a killed process, a host that was removed; and that nobody can send under another's address.

use crate::support::testhost::{Switch, TestHost};
use crate::support::{needs_the_file, until};
use antihate::config::Place;
use antihate::config::layout::Layout;
use antihate::config::place::{Stack, host_address6, mesh_address, pod_range};
use antihate::host::mesh::{self, Member};
use antihate::host::settings::{CgroupVersion, Settings};
use antihate::policy::{self, Carrier, Ways};
use antihate::process::supervisor::{Spec, Supervised};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Guards against hanging forever; no promise about time.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long one packet is waited for.
const BREATH: Duration = Duration::from_millis(300);
/// Silence is believed after so many packets.
const TRIES: usize = 4;
/// What goes through one connection, bytes.
const STREAM: usize = 8 << 20;
/// What is looked for on the segment.
const MARKER: &[u8] = b"antihate-plain-text-marker";

/// Does `work` inside a network namespace, on a thread of its own; what it opens stays there.
pub fn inside<T: Send>(network: &File, work: impl FnOnce() -> T + Send) -> T {
    let enter = || {
        setns(network, CloneFlags::CLONE_NEWNET).expect("the namespace is entered");
        work()
    };
    std::thread::scope(|scope| scope.spawn(enter).join().expect("no panic inside"))
}

/// A socket at one of a host's addresses.
pub fn at(network: &File, ip: Ipv4Addr) -> UdpSocket {
    let socket = inside(network, || UdpSocket::bind((ip, 7000)).expect("the address is there"));
    socket.set_read_timeout(Some(BREATH)).expect("a time limit");
    socket
}

/// The sender that `to` sees, if a packet of `from` arrives.
pub fn seen(from: &UdpSocket, to: &UdpSocket) -> Option<Ipv4Addr> {
    // A route that is not there refuses at once.
    from.send_to(MARKER, to.local_addr().expect("bound")).ok()?;
    let mut buffer = [0; 64];
    let (length, sender) = to.recv_from(&mut buffer).ok()?;
    assert_eq!(&buffer[..length], MARKER);
    match sender.ip() {
        std::net::IpAddr::V4(ip) => Some(ip),
        std::net::IpAddr::V6(_) => None,
    }
}

pub fn arrives(from: &UdpSocket, to: &UdpSocket) -> bool {
    let wanted = from.local_addr().expect("bound").ip();
    seen(from, to).is_some_and(|ip| ip == wanted)
}

/// Nothing arrives; what was on its way before does not count.
pub fn silent(from: &UdpSocket, to: &UdpSocket) -> bool {
    while to.recv_from(&mut [0; 64]).is_ok() {}
    (0..TRIES).all(|_| seen(from, to).is_none())
}

pub fn ip(host: &TestHost, args: &[&str]) {
    let out = host.command("ip").args(args).output().expect("ip runs");
    assert!(out.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Everything that crosses the segment, of every port of its bridge.
pub struct Sniffer(File);

impl Sniffer {
    /// Listens from now on.
    pub fn on(switch: &Switch) -> Sniffer {
        use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket, sockopt};
        let network = switch.network();
        let fd = inside(&network, || socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_NONBLOCK, SockProtocol::EthAll).expect("a packet socket"));
        setsockopt(&fd, sockopt::RcvBuf, &(8 << 20)).expect("room for packets");
        Sniffer(fd.into())
    }

    /// How many packets were seen since the last question, and how many of them held `marker`.
    pub fn count(&mut self, marker: &[u8]) -> (usize, usize) {
        let (mut all, mut plain, mut buffer) = (0, 0, vec![0; 1 << 16]);
        while let Ok(length) = self.0.read(&mut buffer) {
            all += 1;
            plain += usize::from(buffer[..length].windows(marker.len()).any(|w| w == marker));
        }
        (all, plain)
    }
}

/// The programs of the file, unpacked by a node that is ended at once.
fn unpacked(host: &TestHost) -> PathBuf {
    let mut node = host.start_antihate(&["up", "--node-ip", &host.address, "--name", "leaf"], "up.log");
    let current = host.data().join("current");
    until("the programs are unpacked", PATIENCE, || current.join("wg").exists().then_some(()));
    let stopped = host.antihate(&["stop"]);
    assert!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
    drop(node.wait());
    current
}

/// Settings of a host of the embedded Kubernetes with its data at `data`, as on this machine.
pub fn settings(data: &Path, node: &str, node_ip: Ipv4Addr, place: Place) -> Settings {
    let layout = Layout::new(data);
    Settings {
        payload: layout.current(),
        layout,
        node: node.into(),
        node_ip,
        node_ip_given: true,
        place,
        cgroups: CgroupVersion::V1,
        restrict_oom: true,
        kernel_protected: false,
        distribution: antihate::host::distribution::Distribution::Embedded,
        resolvers: Vec::new(),
        storage: None,
        encrypt: None,
    }
}

/// A host with its end of the mesh.
struct End {
    host: TestHost,
    settings: Settings,
    process: Option<Supervised>,
    index: u8,
}

impl End {
    fn new(host: TestHost, index: u8, payload: &Path) -> End {
        let place = Place { index, stack: Stack::Dual, ..Place::alone() };
        let own = settings(&host.data(), &format!("leaf-{index}"), host.address.parse().expect("an address"), place);
        let settings = Settings { payload: payload.into(), ..own };
        std::fs::create_dir_all(settings.layout.pki()).expect("a folder");
        std::fs::create_dir_all(settings.layout.data.join("logs")).expect("a folder");
        // In the place of a pod: an address of the host's range.
        ip(&host, &["address", "add", &format!("{}/32", pod(index)), "dev", "lo"]);
        ip(&host, &["address", "add", &format!("{}/128", pod6(index)), "dev", "lo"]);
        End { host, settings, process: None, index }
    }

    fn member(&self) -> Member {
        let mesh_key = mesh::public_key(&self.settings.layout.pki()).expect("a key");
        Member { name: self.settings.node.clone(), index: self.index, address: self.settings.node_ip, mesh_key }
    }

    /// The supervised process that serves the link, where this kernel needs one.
    fn serve(&mut self) {
        let c = mesh::component(&self.settings);
        let spec = Spec { name: c.name, program: c.program, args: c.args, env: vec![], log: self.settings.layout.log(c.name), cgroup: None, grace: Duration::from_secs(c.grace_s) };
        self.process = inside(&self.host.network(), || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(mesh::needs_user_space()).then(|| Supervised::start(spec).expect("it starts"))
        });
    }

    fn apply(&self, members: &[Member]) -> Result<String, antihate::status::Problem> {
        inside(&self.host.network(), || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(mesh::apply(&self.settings, members))
        })
    }

    /// As the host's own loop does, until it works.
    fn applied(&self, members: &[Member]) -> String {
        until("the mesh is made", PATIENCE, || self.apply(members).ok())
    }

    fn pod(&self) -> UdpSocket {
        at(&self.host.network(), pod(self.index))
    }

    fn links(&self) -> String {
        let out = self.host.command("ip").args(["-o", "link", "show"]).output().expect("ip runs");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

fn pod(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 42, index, 5)
}

fn pod6(index: u8) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(host_address6(index)) + 5)
}

#[test]
fn pods_of_three_hosts_reach_each_other_encrypted_through_cuts_kills_and_a_removal() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    // A host of its own: a node that is ended may have left the rules of its mode, which let no IPv6 through.
    let unpacker = switch.host();
    let payload = unpacked(&unpacker);
    let mut ends: Vec<End> = (0..3).map(|index| End::new(switch.host(), index, &payload)).collect();
    let all: Vec<Member> = ends.iter().map(End::member).collect();
    assert_eq!(ends[0].apply(&all[..1]).expect("nothing to do"), "alone");
    assert!(!ends[0].links().contains("ahm-"), "a host that is alone has no mesh");
    ends.iter_mut().for_each(End::serve);
    ends.iter().for_each(|e| println!("{}: {}", e.settings.node, e.applied(&all)));
    let pods: Vec<UdpSocket> = ends.iter().map(End::pod).collect();
    let mut sniffer = Sniffer::on(&switch);
    every_pair_is_encrypted(&ends, &pods, &all, &mut sniffer);
    a_long_stream_arrives_whole(&ends);
    the_other_family_goes_the_same_way(&ends);
    a_cut_link_comes_back(&ends, &pods);
    a_killed_process_comes_back(&mut ends, &pods, &all);
    what_somebody_took_away_is_made_again(&ends, &pods, &all);
    a_removed_host_is_cut_off(&ends, &pods, &all);
    nothing_is_left(&mut ends);
}

fn every_pair_is_encrypted(ends: &[End], pods: &[UdpSocket], all: &[Member], sniffer: &mut Sniffer) {
    sniffer.count(MARKER);
    for (a, from) in pods.iter().enumerate() {
        for (_, to) in pods.iter().enumerate().filter(|(b, _)| *b != a) {
            until("a packet arrives under its sender's own address", PATIENCE, || arrives(from, to).then_some(()));
        }
    }
    let (crossed, plain) = sniffer.count(MARKER);
    assert!(crossed >= 6 && plain == 0, "{plain} of {crossed} packets on the segment could be read");
    // The same packets without the mesh are seen, so the sniffer can see.
    let plainly = |e: &End| at(&e.host.network(), e.settings.node_ip);
    let (a, b) = (plainly(&ends[0]), plainly(&ends[1]));
    until("a packet outside the mesh arrives", PATIENCE, || arrives(&a, &b).then_some(()));
    assert!(sniffer.count(MARKER).1 > 0, "the sniffer sees what is not encrypted");
    // The host itself is seen under its address of the mesh.
    let host = inside(&ends[0].host.network(), || UdpSocket::bind(("0.0.0.0", 7001)).expect("a socket"));
    assert_eq!(until("a packet of the host itself arrives", PATIENCE, || seen(&host, &pods[2])), mesh_address(0));
    let detail = ends[0].applied(all);
    assert!(detail.starts_with("2 of 2 hosts heard, encrypted"), "{detail}");
    println!("encrypted: {crossed} packets on the segment, none could be read; {detail}");
}

/// Packets as large as they get, in both directions.
fn a_long_stream_arrives_whole(ends: &[End]) {
    let bytes: Vec<u8> = (0..STREAM).map(|n| (n / 251) as u8).collect();
    let listener = inside(&ends[1].host.network(), || TcpListener::bind((pod(1), 7002)).expect("the address is there"));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let back = scope.spawn(|| {
            let (mut socket, from) = listener.accept().expect("a connection");
            let mut all = vec![0; STREAM];
            socket.read_exact(&mut all).expect("all of it");
            socket.write_all(&all).expect("sent back");
            from.ip()
        });
        let mut socket = inside(&ends[0].host.network(), || TcpStream::connect((pod(1), 7002)).expect("it is heard"));
        socket.write_all(&bytes).expect("sent");
        let mut all = vec![0; STREAM];
        socket.read_exact(&mut all).expect("all of it back");
        assert!(all == bytes, "what came back is what was sent");
        assert_eq!(back.join().expect("no panic"), mesh_address(0));
    });
    println!("stream: {} MiB there and back in {:.1} s", STREAM >> 20, begun.elapsed().as_secs_f64());
}

/// IPv6 between a host and another's pod: the host is seen under its own address there.
fn the_other_family_goes_the_same_way(ends: &[End]) {
    let listener = inside(&ends[1].host.network(), || TcpListener::bind((pod6(1), 7003)).expect("the address is there"));
    let limit = Duration::from_secs(5);
    let connect = || inside(&ends[0].host.network(), || TcpStream::connect_timeout(&(pod6(1), 7003).into(), limit)).ok();
    let _socket = until("the pod is reached by IPv6", PATIENCE, connect);
    let (_, from) = listener.accept().expect("a connection");
    assert_eq!(from.ip(), host_address6(0));
}

fn a_cut_link_comes_back(ends: &[End], pods: &[UdpSocket]) {
    ends[1].host.link(false);
    assert!(silent(&pods[0], &pods[1]) && arrives(&pods[0], &pods[2]), "only the host behind the cut is away");
    ends[1].host.link(true);
    until("the cut host is back", PATIENCE, || arrives(&pods[0], &pods[1]).then_some(()));
    until("and reaches the others", PATIENCE, || arrives(&pods[1], &pods[2]).then_some(()));
}

fn a_killed_process_comes_back(ends: &mut [End], pods: &[UdpSocket], all: &[Member]) {
    let Some(process) = &ends[2].process else {
        println!("this kernel serves the mesh itself: no process to kill");
        return;
    };
    let pid = process.state().pid.expect("it runs");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).expect("killed");
    until("another process serves the link", PATIENCE, || process.state().pid.filter(|p| *p != pid));
    assert!(silent(&pods[0], &pods[2]), "a link without keys lets nothing in");
    println!("{}", ends[2].applied(all));
    until("the host is heard again by one that did not notice", PATIENCE, || arrives(&pods[0], &pods[2]).then_some(()));
    until("and speaks", PATIENCE, || arrives(&pods[2], &pods[1]).then_some(()));
}

fn what_somebody_took_away_is_made_again(ends: &[End], pods: &[UdpSocket], all: &[Member]) {
    let link = mesh::link_name(&ends[0].settings.layout);
    let harms: [&[&str]; 6] = [
        &["route", "del", "10.42.0.0/16"],
        &["-6", "route", "del", "fd00:42::/56"],
        &["address", "del", "fd00:42::/128", "dev", "lo"],
        &["link", "set", &link, "down"],
        &["address", "flush", "dev", &link],
        &["route", "add", "10.42.1.0/24", "dev", &link],
    ];
    for harm in harms {
        ip(&ends[0].host, harm);
        ends[0].applied(all);
        until("the harm is mended", PATIENCE, || arrives(&pods[0], &pods[1]).then_some(()));
    }
    let show = |what: &[&str]| String::from_utf8_lossy(&ends[0].host.command("ip").args(what).output().expect("ip").stdout).into_owned();
    let (routes, addresses) = (show(&["route", "show", "dev", &link]), show(&["-4", "-o", "address", "show", "dev", &link]));
    assert_eq!(routes.trim(), format!("10.42.0.0/16 proto static scope link src {}", mesh_address(0)));
    assert!(addresses.contains(&format!("inet {}/32", mesh_address(0))) && addresses.lines().count() == 1, "{addresses}");
    assert!(show(&["link", "show", &link]).contains("mtu 1420"));
    the_other_family_goes_the_same_way(ends);
    let routes6 = show(&["-6", "route", "show", "dev", &link, "proto", "static"]);
    assert!(routes6.starts_with("fd00:42::/56 src fd00:42:: ") && routes6.lines().count() == 1, "{routes6}");
}

fn a_removed_host_is_cut_off(ends: &[End], pods: &[UdpSocket], all: &[Member]) {
    let left: Vec<Member> = all[..2].to_vec();
    ends[..2].iter().for_each(|e| drop(e.applied(&left)));
    assert!(silent(&pods[2], &pods[0]) && silent(&pods[0], &pods[2]), "who was removed reaches nobody, and nobody him");
    until("the others go on", PATIENCE, || arrives(&pods[1], &pods[0]).then_some(()));
    // A host that was let in again, with a new key.
    std::fs::remove_file(ends[2].settings.layout.pki().join("mesh.key")).expect("its key");
    let again = [all[0].clone(), all[1].clone(), ends[2].member()];
    assert_ne!(again[2].mesh_key, all[2].mesh_key);
    ends.iter().for_each(|e| drop(e.applied(&again)));
    until("it is heard with its new key", PATIENCE, || arrives(&pods[2], &pods[0]).then_some(()));
}

fn nothing_is_left(ends: &mut [End]) {
    for end in ends {
        if let Some(process) = &mut end.process {
            process.stop();
        }
        inside(&end.host.network(), || mesh::remove(&end.settings.layout)).expect("removed");
        inside(&end.host.network(), || mesh::remove(&end.settings.layout)).expect("what is gone is gone");
        let left = end.links();
        assert!(!left.contains(&mesh::link_name(&end.settings.layout)) && !mesh::socket(&end.settings.layout).exists(), "{left}");
    }
}

/// A host with the rules in force and one thing that looks like a pod: a namespace behind a link called `veth...`.
pub fn with_a_pod(switch: &Switch) -> (TestHost, TestHost, Ways) {
    let (host, pod) = (switch.host(), switch.host());
    let ways = Ways { cluster: vec!["10.42.0.0/16".parse().expect("a block")], between: Carrier::Mesh { link: "ah-mesh".into() } };
    // The pod's link to the segment is of no use here.
    ip(&pod, &["link", "del", "eth0"]);
    let namespace = pod.network();
    let holder = host.command("ip").args(["link", "add", "veth0pod", "type", "veth", "peer", "name", "eth0", "netns", &pod.holder().to_string()]).output().expect("ip");
    assert!(holder.status.success(), "{}", String::from_utf8_lossy(&holder.stderr));
    drop(namespace);
    for args in [&["link", "set", "veth0pod", "up"][..], &["route", "add", "10.42.0.5", "dev", "veth0pod"]] {
        ip(&host, args);
    }
    for address in ["10.42.0.5", "10.42.0.6", "10.42.3.0", "192.0.2.99"] {
        ip(&pod, &["address", "add", &format!("{address}/32"), "dev", "eth0"]);
    }
    for args in [&["link", "set", "eth0", "up"][..], &["route", "add", "default", "dev", "eth0", "src", "10.42.0.5"]] {
        ip(&pod, args);
    }
    for setting in ["ip_forward", "conf/veth0pod/proxy_arp"] {
        let out = host.command("sh").args(["-c", &format!("echo 1 > /proc/sys/net/ipv4/{setting}")]).output().expect("sh");
        assert!(out.status.success(), "{setting}: {}", String::from_utf8_lossy(&out.stderr));
    }
    (host, pod, ways)
}

/// The rules of a host with one pod that no policy isolates.
pub fn enforce(host: &TestHost, ways: &Ways) {
    let rules = policy::RuleSet {
        ranges: vec![pod_range(0).parse().expect("a block")],
        leaving: [("10.42.0.5".parse().expect("an address"), policy::Verdict::Open), ("10.42.0.6".parse().expect("an address"), policy::Verdict::Open)].into(),
        arriving: [("10.42.0.5".parse().expect("an address"), policy::Verdict::Open)].into(),
        ..policy::RuleSet::default()
    };
    let mut nft = host.command("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft starts");
    nft.stdin.take().expect("a pipe").write_all(policy::transaction(&rules, ways, &[]).as_bytes()).expect("written");
    assert!(nft.wait().expect("it ends").success());
}

#[test]
fn nobody_sends_under_the_address_of_another_and_pods_are_hidden_outside_the_cluster() {
    if !crate::support::testhost::can_run() {
        return;
    }
    let switch = Switch::new();
    let (host, pod, ways) = with_a_pod(&switch);
    let stranger = switch.host();
    ip(&stranger, &["route", "add", "10.42.0.0/16", "via", &host.address]);
    ip(&stranger, &["address", "add", "10.42.7.0/32", "dev", "lo"]);
    ip(&stranger, &["address", "add", "10.42.7.5/32", "dev", "lo"]);
    let address = |text: &str| text.parse::<Ipv4Addr>().expect("an address");
    let outside = at(&stranger.network(), address(&stranger.address));
    let own = at(&pod.network(), address("10.42.0.5"));
    let forged: Vec<UdpSocket> = ["10.42.0.6", "10.42.3.0", "192.0.2.99"].map(|ip| at(&pod.network(), address(ip))).into();
    // Without the rules all of it passes: what is refused below is refused by them.
    for socket in [&own, &forged[0]] {
        until("a packet passes without rules", PATIENCE, || arrives(socket, &outside).then_some(()));
    }
    enforce(&host, &ways);
    // What was sent before the rules may still arrive first.
    until("outside the cluster a pod has its host's address", PATIENCE, || seen(&own, &outside).filter(|from| *from == address(&host.address)));
    for socket in &forged {
        assert!(silent(socket, &outside), "forged: {:?}", socket.local_addr());
    }
    until("a stranger with his own address reaches an open pod", PATIENCE, || arrives(&outside, &own).then_some(()));
    for ip in ["10.42.7.0", "10.42.7.5"] {
        assert!(silent(&at(&stranger.network(), address(ip)), &own), "not by the mesh: {ip}");
    }
}
