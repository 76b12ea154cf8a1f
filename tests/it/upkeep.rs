//! The world around a sound node changes while it runs: certificates come near their end, the host gets another address, secrets
//! are to have a new key. Components are started anew with what fits, and no pod notices.

use crate::node::{lost_nothing, stop};
use crate::support::testhost::{Switch, TestHost};
use crate::support::{needs_the_file, said, until};
use antihate::pki::cluster::{ClusterNames, leaves};
use antihate::pki::{encryption, kit};
use std::collections::BTreeSet;
use std::process::Child;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

const PATIENCE: Duration = Duration::from_secs(300);
/// Life of a leaf certificate.
const LIFE: time::Duration = time::Duration::days(365);

/// Every container with the number of its restarts: other containers would have other names.
pub fn containers(host: &TestHost) -> BTreeSet<String> {
    let all = "{range .items[*].status.containerStatuses[*]}{.containerID} {.restartCount}{'\\n'}{end}".replace('\'', "\"");
    let asked = || {
        let out = host.antihate(&["kubectl", "get", "pods", "-A", "-o", &format!("jsonpath={all}")]);
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect::<BTreeSet<_>>())
    };
    // A container that was not made yet has no name.
    until("every container is made", PATIENCE, || asked().filter(|all| !all.is_empty() && !all.iter().any(|c| c.starts_with(' '))))
}

fn certificate_holds(host: &TestHost, file: &str, days: i64) -> bool {
    let pem = std::fs::read_to_string(host.data().join("pki").join(format!("{file}.crt"))).unwrap_or_default();
    kit::holds(&pem, time::Duration::days(days), OffsetDateTime::now_utc())
}

/// Issues all leaves of the cluster's authority as if that had been 300 days ago.
fn age_certificates(host: &TestHost) {
    let (dir, now) = (host.data().join("pki"), OffsetDateTime::now_utc());
    let names = ClusterNames {
        node: "leaf-1".into(),
        node_ip: host.address.parse().expect("an address"),
        service_ip: antihate::host::settings::SERVICE_IP,
        api_port: antihate::host::settings::API_PORT,
        id: "1".into(),
    };
    let ca = kit::authority(&dir, "ca", "antihate-cluster", now).expect("the authority");
    for leaf in leaves(&names) {
        assert!(ca.ensure(&dir, &leaf, LIFE, now - time::Duration::days(300)).expect("a certificate"), "{}", leaf.file);
    }
}

fn node_address(host: &TestHost) -> Option<String> {
    let path = "jsonpath={.status.addresses[?(@.type==\"InternalIP\")].address}";
    let out = host.antihate(&["kubectl", "get", "node", "leaf-1", "-o", path]);
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

fn address(host: &TestHost, verb: &str, address: &str) {
    let done = host.command("ip").args(["addr", verb, &format!("{address}/24"), "dev", "eth0"]).status().expect("ip");
    assert!(done.success());
}

/// A healthy node that chose its address itself, with its containers.
fn node_on(host: &TestHost) -> (Child, BTreeSet<String>) {
    let node = host.start_bare(&["up", "--sample", "--name", "leaf-1"], "up.log");
    host.healthy();
    (node, containers(host))
}

/// After it every secret can be read with the new key alone: the old one is in no file any more.
fn a_new_key_for_the_secrets(host: &TestHost) {
    let pki = host.data().join("pki");
    let old = encryption::keys(&pki);
    let out = host.antihate(&["rotate-secrets", "--json"]);
    assert!(out.status.success(), "{}", said(&out));
    let new = encryption::keys(&pki);
    assert!(new.len() == 1 && new[0].secret != old[0].secret);
    let read = host.antihate(&["kubectl", "get", "secrets", "-A", "-o", "jsonpath={.items[*].data}"]);
    assert!(read.status.success() && !read.stdout.is_empty(), "{}", String::from_utf8_lossy(&read.stderr));
}

#[test]
#[ignore = "takes six minutes. `cargo test --release --test it -- --ignored upkeep::`"]
fn another_authority_takes_over_while_pods_go_on() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    let ((mut node, pods), pki) = (node_on(&host), host.data().join("pki"));
    let pem = |file: &str| std::fs::read_to_string(pki.join(file)).expect("a certificate");
    let old = pem("ca.crt");
    let begun = Instant::now();
    let out = host.antihate(&["rotate-authority", "--json"]);
    assert!(out.status.success(), "{}", said(&out));
    println!("another authority after {:.0} s", begun.elapsed().as_secs_f64());
    assert!(pem("ca.crt") != old && pem("trust.crt") == pem("ca.crt") && !pem("admin.kubeconfig").contains(&data_encoding::BASE64.encode(old.as_bytes())));
    assert_eq!(containers(&host), pods, "no container was started anew");
    // Cluster DNS has asked the API server all the time, with what its pod was given.
    let names = host.antihate(&["kubectl", "exec", "-n", "antihate-storage", "postgres-0", "-c", "postgres", "--", "getent", "hosts", "kafka.antihate-system"]);
    assert!(names.status.success(), "{}", said(&names));
    lost_nothing(&host);
    stop(&host, &mut node);
}

#[test]
fn certificates_near_their_end_and_another_address_are_followed_while_pods_go_on() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    let (mut node, pods) = node_on(&host);

    age_certificates(&host);
    let begun = Instant::now();
    until("all certificates are renewed", PATIENCE, || ["apiserver", "kubelet", "admin"].iter().all(|c| certificate_holds(&host, c, 300)).then_some(()));
    host.healthy();
    println!("certificates with 65 days left: renewed and healthy after {:.0} s", begun.elapsed().as_secs_f64());
    assert_eq!(containers(&host), pods, "no container was started anew");

    let moved = "192.0.2.77";
    // In this order: with the first address of a range its others would go too.
    address(&host, "del", &host.address);
    address(&host, "add", moved);
    let begun = Instant::now();
    until("the node's object follows", PATIENCE, || (node_address(&host)? == moved).then_some(()));
    host.healthy();
    println!("another address: followed and healthy after {:.0} s", begun.elapsed().as_secs_f64());
    let issued = std::fs::read_to_string(host.data().join("pki/apiserver.json")).expect("what was issued");
    assert!(issued.contains(moved) && !issued.contains(&host.address));
    assert_eq!(containers(&host), pods, "no container was started anew");

    a_new_key_for_the_secrets(&host);
    lost_nothing(&host);
    stop(&host, &mut node);
}
