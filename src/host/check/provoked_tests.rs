//! Every check is provoked once: one change of a sound host makes it speak, and no other.

use super::Check;
use super::provocations::{DISK, KERNEL, MEMORY, PROCESSOR, Provocation, SYSTEM};
use super::provocations_net::{CONTROL_GROUPS, GPU, NETWORK, PORTS, RANGES, RESOLVER, TIME};
use super::sound::Host;
use std::collections::BTreeSet;

const ALL: [&[Provocation]; 12] = [SYSTEM, PROCESSOR, MEMORY, DISK, KERNEL, CONTROL_GROUPS, NETWORK, PORTS, RANGES, RESOLVER, TIME, GPU];

#[test]
fn each_fails_alone() {
    for (id, provoke) in ALL.into_iter().flatten() {
        let mut host = Host::sound();
        provoke(&mut host);
        let spoke: Vec<Check> = host.checks().into_iter().filter(|c| c.problem().is_some()).collect();
        assert_eq!(spoke.iter().map(|c| c.id).collect::<Vec<_>>(), [*id], "{spoke:#?}");
        let problem = spoke[0].problem().expect("it speaks");
        let (family, number) = problem.code.split_once('-').expect("a code");
        assert!(["CHK", "GPU", "K3S"].contains(&family) && number.len() == 3, "{}", problem.code);
        assert!(!problem.what.is_empty() && !problem.cause.is_empty() && problem.next.ends_with('.'), "{problem:?}");
    }
}

#[test]
fn no_check_is_without_its_provocation() {
    let provoked: BTreeSet<&str> = ALL.into_iter().flatten().map(|p| p.0).collect();
    let all: BTreeSet<&str> = Host::sound().checks().iter().map(|c| c.id).collect();
    assert_eq!(provoked, all);
}

#[test]
fn every_code_has_one_meaning() {
    let shared = ["CHK-107", "CHK-110"];
    let mut seen = BTreeSet::new();
    for (id, provoke) in ALL.into_iter().flatten() {
        let mut host = Host::sound();
        provoke(&mut host);
        let code = host.checks().iter().find_map(Check::problem).map(|p| p.code.clone()).expect("it speaks");
        assert!(seen.insert(code.clone()) || shared.contains(&code.as_str()), "{id} uses {code} again");
    }
}

#[test]
fn only_what_makes_a_node_impossible_is_a_failure() {
    let failing = |p: &Provocation| {
        let mut host = Host::sound();
        (p.1)(&mut host);
        host.checks().iter().any(|c| c.verdict.is_failure())
    };
    let failures: Vec<&str> = ALL.into_iter().flatten().filter(|p| failing(p)).map(|p| p.0).collect();
    let (ports, rest): (Vec<&str>, Vec<&str>) = failures.into_iter().partition(|id| id.starts_with("ports."));
    assert_eq!(ports.len(), 8);
    let expected = [
        "system.root", "system.rights", "system.k3s", "processor.architecture", "memory.total", "disk.space", "disk.writable", "disk.programs", "disk.sockets", "disk.volumes",
        "kernel.version", "kernel.namespaces", "kernel.overlay", "kernel.nftables", "control-groups.cpu", "control-groups.cpuset", "control-groups.memory", "control-groups.pids",
        "control-groups.writable", "network.address", "network.loopback", "network.forwarding", "time.clock",
    ];
    assert_eq!(rest, expected);
}

#[test]
fn a_small_host_is_scaled_and_only_a_tiny_one_refused() {
    let judged = |kib: &str| {
        let host = Host::sound();
        host.edit("proc/meminfo", "MemTotal: 16777216", &format!("MemTotal: {kib}"));
        host.checks().into_iter().find(|c| c.id == "memory.total").map(|c| c.verdict.word()).expect("the check")
    };
    assert_eq!([judged("2621440"), judged("3932160"), judged("4194304")], ["failure", "warning", "ok"]);
}

#[test]
fn ports_of_a_node_that_runs_here_are_its_own() {
    let mut host = Host::sound();
    (host.asked.running, host.asked.taken) = (true, vec![6443, 8443]);
    assert!(host.checks().iter().all(|c| c.problem().is_none()));
}
