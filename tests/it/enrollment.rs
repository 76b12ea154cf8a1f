//! Hub and node on two test hosts: enrolling over the wire, a cut link, a killed hub, a theft, a revocation.

use crate::support::testhost::{Switch, TestHost, can_run};
use crate::support::{said, until};
use antihate::enroll::edge::{Edge, Handle, Options};
use antihate::enroll::protocol::Report;
use antihate::status::Upstream;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct HubHost<'a> {
    host: &'a TestHost,
    serving: Child,
}

impl<'a> HubHost<'a> {
    pub(crate) fn start(host: &'a TestHost) -> HubHost<'a> {
        HubHost { serving: serve(host), host }
    }

    fn data(&self) -> String {
        self.host.folder().join("hub").display().to_string()
    }

    fn run(&self, args: &[&str]) -> std::process::Output {
        let data = self.data();
        self.host.antihate(&[&["hub"], args, &["--data", &data]].concat())
    }

    /// Makes a token as soon as the hub has served.
    pub(crate) fn token(&self) -> String {
        let made = || Some(self.run(&["token", "create"])).filter(|o| o.status.success());
        String::from_utf8(until("a token", PATIENCE, made).stdout).expect("ASCII").trim().to_owned()
    }

    pub(crate) fn nodes(&self) -> serde_json::Value {
        let out = self.run(&["node", "list", "--json"]);
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(&out)))
    }

    fn kill_and_start_again(&mut self) {
        drop(self.serving.kill());
        drop(self.serving.wait());
        self.serving = serve(self.host);
    }

    /// Asks politely; true if it ended with success.
    fn stop(&mut self) -> bool {
        let pid = nix::unistd::Pid::from_raw(self.serving.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it runs");
        self.serving.wait().expect("it ends").success()
    }
}

fn serve(host: &TestHost) -> Child {
    let data = host.folder().join("hub").display().to_string();
    host.start_antihate(&["hub", "serve", "--data", &data, "--listen", "0.0.0.0:8443", "--name", &host.address, "--geo", "DE", "--heartbeat", "1"], "hub.log")
}

/// The node's loop, in a thread that has entered the network of `host`; ends with `stop`.
fn live(host: &TestHost, stop: CancellationToken) -> (Handle, std::thread::JoinHandle<()>) {
    let mut inside = host.command("sleep").arg("infinity").spawn().expect("a process of that host");
    let network = format!("/proc/{}/ns/net", inside.id());
    let own = std::fs::read_link("/proc/self/ns/net").expect("own network");
    until("it is inside", PATIENCE, || (std::fs::read_link(&network).ok()? != own).then_some(()));
    let network = std::fs::File::open(network).expect("its network");
    drop(inside.kill());
    drop(inside.wait());
    let report = Arc::new(|| Report { healthy: true, summary: "canary report".into(), ..Report::default() });
    let (edge, handle) = Edge::new(&host.data(), Options::default(), report);
    let work = move || {
        nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET).expect("the thread enters the network");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(edge.run(stop)).expect("the loop ends when asked");
    };
    (handle, std::thread::spawn(work))
}

fn reach(handle: &Handle, what: &str, wanted: impl Fn(&Upstream) -> bool) {
    until(what, PATIENCE, || wanted(&handle.status().borrow()).then_some(()));
}

fn connected(status: &Upstream) -> bool {
    matches!(status, Upstream::Enrolled { connected: true, .. })
}

#[test]
fn a_node_enrolls_over_the_wire_survives_a_cut_link_and_a_killed_hub_and_stops_when_revoked() {
    if !can_run() {
        return;
    }
    let switch = Switch::new();
    let (upstream, node, thief) = (switch.host(), switch.host(), switch.host());
    let mut hub = HubHost::start(&upstream);
    let token = hub.token();

    node.link(false);
    let cut = node.antihate(&["enroll", &token]);
    assert!(!cut.status.success() && said(&cut).contains("ENR-108"), "{}", said(&cut));
    node.link(true);
    let joined = until("the node enrolls", PATIENCE, || Some(node.antihate(&["enroll", &token, "--json"])).filter(|o| o.status.success()));
    let identity: serde_json::Value = serde_json::from_slice(&joined.stdout).expect("JSON");
    assert_eq!(hub.nodes()[0]["id"], identity["node"]);
    let late = thief.antihate(&["enroll", &token]);
    assert!(!late.status.success() && said(&late).contains("ENR-105"), "{}", said(&late));
    let typo = thief.antihate(&["enroll", &token.replace("AHN1.DE", "AHN1.ED")]);
    assert!(!typo.status.success() && said(&typo).contains("ENR-102"), "{}", said(&typo));

    let stop = CancellationToken::new();
    let (handle, thread) = live(&node, stop.clone());
    reach(&handle, "connected", connected);
    node.link(false);
    reach(&handle, "disconnected", |s| matches!(s, Upstream::Enrolled { connected: false, last_seen: Some(_), .. }));
    node.link(true);
    reach(&handle, "connected again", connected);
    hub.kill_and_start_again();
    let before = hub.nodes()[0]["last_seen"].clone();
    until("heartbeats reach the hub that was started again", PATIENCE, || (hub.nodes()[0]["last_seen"] != before).then_some(()));
    assert_eq!(hub.nodes()[0]["report"]["summary"], "canary report");

    let id = identity["node"].as_str().expect("an identifier").to_owned();
    let revoked = hub.run(&["node", "revoke", &id, "--reason", "test"]);
    assert!(revoked.status.success(), "{}", said(&revoked));
    reach(&handle, "revoked", |s| matches!(s, Upstream::Failed { problem } if problem.code == "ENR-106"));
    stop.cancel();
    thread.join().expect("the loop ended well");

    nothing_holds(&hub, &token);
    assert!(hub.stop(), "a hub that is asked to stop ends with success");
}

/// The secret is in no file, log or command line of the hub.
fn nothing_holds(hub: &HubHost<'_>, token: &str) {
    let secret = token.split('.').nth(3).expect("a secret");
    assert_eq!(secret.len(), 26);
    let found = hub.host.command("grep").args(["-r", "-l", "-a", "--", &secret[4..]]).arg(hub.host.folder()).output().expect("grep runs");
    assert!(found.stdout.is_empty(), "the secret lies in {}", said(&found));
    let public = hub.host.command("grep").args(["-r", "-l", "-a", "--", token.split('.').nth(2).expect("an identifier")]).arg(hub.host.folder()).output();
    assert!(!public.expect("grep runs").stdout.is_empty(), "the search must be able to find something");
    for pid in hub.host.processes() {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&line).contains(&secret[4..]), "the secret is an argument of {pid}");
    }
}
