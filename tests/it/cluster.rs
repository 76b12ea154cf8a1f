//! What the node's Kubernetes promises, asked of a running one: names, secrets at rest, restricted pods.

use crate::support::testhost::TestHost;
use crate::support::{said, until};
use antihate::config::layout::Layout;
use antihate::host::distribution::Distribution;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

/// All of it, on a healthy node.
pub(crate) fn keeps_its_promises(host: &TestHost) {
    names_are_answered(host);
    the_host_reaches_services(host);
    secrets_are_encrypted_at_rest(host);
    unrestricted_pods_are_refused(host);
}

/// A pod's own resolver knows services, and the API server's address is reached through kube-proxy.
fn names_are_answered(host: &TestHost) {
    let ask = |name: &str| {
        let exec = ["kubectl", "exec", "-n", "antihate-storage", "postgres-0", "-c", "postgres", "--", "getent", "hosts", name];
        until(name, PATIENCE, || Some(host.antihate(&exec)).filter(|o| o.status.success()))
    };
    for name in ["kubernetes.default.svc.cluster.local", "kafka.antihate-system", "postgres.antihate-storage"] {
        assert!(said(&ask(name)).starts_with("10.4"), "{name}");
    }
    let ready = host.antihate(&["kubectl", "get", "endpointslices", "-n", "kube-system", "-l", "kubernetes.io/service-name=kube-dns", "-o", "name"]);
    assert!(ready.status.success(), "{}", said(&ready));
}

/// A test host has no default route; what runs on the host, such as an API server that calls a webhook, reaches services all the same.
fn the_host_reaches_services(host: &TestHost) {
    let script = "import socket; socket.create_connection(('10.43.0.1', 443), 5)";
    let out = host.command("python3").args(["-c", script]).output().expect("a client");
    assert!(out.status.success(), "{}", said(&out));
}

/// The bytes of the datastore hold no secret in the clear.
fn secrets_are_encrypted_at_rest(host: &TestHost) {
    // Put together here, so that no log of commands holds the whole word either.
    let canary = ["canary", "7f3a9e1c", "of-the-datastore"].join("-");
    let made = |kind: &[&str]| {
        let out = host.antihate(&[&["kubectl", "create"], kind].concat());
        assert!(out.status.success(), "{}", said(&out));
    };
    made(&["secret", "generic", "canary", "-n", "antihate-system", &format!("--from-literal=word={canary}")]);
    made(&["configmap", "canary", "-n", "antihate-system", "--from-literal=word=canary-that-is-no-secret"]);
    let layout = Layout::new(&host.data());
    let database = Distribution::of(&layout).places(&layout).database;
    let kine = database.parent().expect("a folder");
    let holds = |word: &str| std::fs::read_dir(kine).expect("the datastore").flatten().any(|f| contains(&f.path(), word.as_bytes()));
    assert!(holds("canary-that-is-no-secret"), "the search must be able to find something");
    assert!(!holds(&canary), "a secret lies in the datastore in the clear");
    assert!(holds("k8s:enc:"), "the datastore says that it is encrypted");
    let read = host.antihate(&["kubectl", "get", "secret", "canary", "-n", "antihate-system", "-o", "jsonpath={.data.word}"]);
    assert_eq!(data_encoding::BASE64.decode(&read.stdout).ok(), Some(canary.into_bytes()), "the API server reads it back");
    for kind in ["secret", "configmap"] {
        assert!(host.antihate(&["kubectl", "delete", kind, "canary", "-n", "antihate-system"]).status.success());
    }
}

fn contains(file: &Path, word: &[u8]) -> bool {
    std::fs::read(file).is_ok_and(|bytes| bytes.windows(word.len()).any(|w| w == word))
}

/// Pod Security *restricted* holds in every namespace of ours.
fn unrestricted_pods_are_refused(host: &TestHost) {
    for namespace in ["system", "monitoring", "security", "observers", "analyzers", "storage", "coordination"] {
        let overrides = r#"{"spec":{"hostNetwork":true}}"#;
        let out = host.antihate(&["kubectl", "run", "intruder", "-n", &format!("antihate-{namespace}"), "--image", "antihate.local/worker:0.1.0", "--overrides", overrides]);
        assert!(!out.status.success() && said(&out).contains("violates PodSecurity"), "antihate-{namespace}: {}", said(&out));
    }
}
