//! GPUs with a stand-in: what the command says of it, and its way into a pod of a real node, through loss, error and return.

use crate::node::kill9;
use crate::support::gpu::{StandIn, UUID};
use crate::support::pods::{apply, kubectl};
use crate::support::testhost::{Switch, TestHost};
use crate::support::{antihate, needs_the_file, said, until};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(300);

fn gpu(card: &StandIn, what: &[&str]) -> (Option<i32>, Value, String) {
    let out = Command::new(antihate()).arg("gpu").args(what).args(["--json", "--driver-root"]).arg(&card.root).output().expect("it starts");
    (out.status.code(), serde_json::from_slice(&out.stdout).unwrap_or_default(), said(&out))
}

#[test]
fn the_command_tells_what_is_there_whether_it_computes_and_what_is_wrong() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: device files need root");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let none = Command::new(antihate()).args(["gpu", "check", "--driver-root"]).arg(dir.path()).output().expect("it starts");
    assert!(none.status.code() == Some(1) && said(&none).contains("GPU-100: there is no GPU here"), "{}", said(&none));
    let card = StandIn::new(&dir.path().join("driver"));
    let (code, listed, words) = gpu(&card, &[]);
    assert_eq!((code, &listed["state"], &listed["gpus"][0]["uuid"]), (Some(0), &json!("ready"), &json!(UUID)), "{words}");
    let (code, checked, words) = gpu(&card, &["check"]);
    let computed = &checked["gpus"][0]["computed"];
    assert_eq!((code, &computed["computed"], &computed["uuid"], &computed["capability"]), (Some(0), &json!(4096), &json!(UUID), &json!("9.0")), "{words}");
    card.fault(true);
    let (code, checked, words) = gpu(&card, &["check"]);
    assert_eq!((code, &checked["problems"][0]["code"]), (Some(1), &json!("GPU-107")), "{words}");
    assert!(words.contains("cuInit: error 999 CUDA_ERROR_UNKNOWN"), "{words}");
    card.fault(false);
    card.driver("999.2");
    let (code, listed, _) = gpu(&card, &[]);
    assert_eq!((code, &listed["problems"][0]["code"]), (Some(1), &json!("GPU-102")));
}

fn allocatable(host: &TestHost) -> Option<String> {
    let out = host.antihate(&["kubectl", "get", "node", "leaf-1", "-o", "jsonpath={.status.allocatable.nvidia\\.com/gpu}"]);
    Some(String::from_utf8_lossy(&out.stdout).into_owned()).filter(|s| out.status.success() && !s.is_empty())
}

fn has(host: &TestHost, count: &str) -> Duration {
    let since = Instant::now();
    until(&format!("the node has {count} GPUs to give"), PATIENCE, || allocatable(host).filter(|n| n == count));
    since.elapsed()
}

fn component(host: &TestHost) -> Option<Value> {
    let out = host.antihate(&["status", "--json"]);
    let status: Value = serde_json::from_slice(&out.stdout).ok()?;
    status["components"].as_array()?.iter().find(|c| c["name"] == "gpu").cloned()
}

fn told(host: &TestHost, healthy: bool, words: &str) -> Duration {
    let since = Instant::now();
    let right = |c: &Value| c["healthy"] == healthy && c["detail"].as_str().is_some_and(|d| d.contains(words));
    until(&format!("status says {words:?}"), PATIENCE, || component(host).filter(right));
    since.elapsed()
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "securityContext": {"runAsUser": 0},
        "containers": [{"name": "c", "image": "antihate.local/postgres:15", "imagePullPolicy": "Never", "command": ["sleep", "infinity"],
            "resources": {"limits": {"nvidia.com/gpu": 1}}, "volumeMounts": [{"name": "run", "mountPath": "/probe"}]}],
        "volumes": [{"name": "run", "hostPath": {"path": "/RUN", "type": "Directory"}}]}})
}

fn phase(host: &TestHost, name: &str, wanted: &str) {
    until(&format!("{name} is {wanted}"), PATIENCE, || kubectl(host, &["get", "pod", name, "-o", "jsonpath={.status.phase}"]).filter(|p| p == wanted));
}

fn start(host: &TestHost, name: &str) {
    let mut pod = pod(name);
    pod["spec"]["volumes"][0]["hostPath"]["path"] = json!(host.data().join("run"));
    apply(host, &[pod]);
}

/// The device, the library, and the way to it; the library itself answers in the pod.
fn the_pod_has_it(host: &TestHost, name: &str) {
    let inside = |script: &str| {
        let out = host.antihate(&["kubectl", "exec", name, "--", "sh", "-c", script]);
        said(&out)
    };
    assert_eq!(inside("stat -c '%F %t %T' /dev/nvidia0 /dev/nvidiactl").trim(), "character special file 1 3\ncharacter special file 1 3");
    assert_eq!(inside("echo $LD_LIBRARY_PATH $NVIDIA_VISIBLE_DEVICES").trim(), "/usr/local/nvidia/lib64 void");
    // The stand-in's list of cards is not in the pod: that it says so shows that it was loaded and asked.
    let asked = inside("/probe/antihate-gpu-probe libcuda.so.1");
    assert!(asked.contains("cuInit: error 100 CUDA_ERROR_NO_DEVICE"), "{asked}");
    assert!(inside("echo x >/usr/local/nvidia/lib64/libcuda.so.1").contains("Read-only"), "libraries are for reading");
}

#[test]
fn a_card_reaches_pods_and_is_taken_and_given_back_through_loss_error_and_return() {
    if !needs_the_file() {
        return;
    }
    let switch = Switch::new();
    let host = switch.host();
    let card = StandIn::new(&host.folder().join("driver"));
    let root = card.root.display().to_string();
    let mut node = host.start_bare(&["up", "--node-ip", &host.address, "--name", "leaf-1", "--driver-root", &root], "up.log");
    has(&host, "1");
    told(&host, true, "1 x Stand-in 16GB");
    let labels = || kubectl(&host, &["get", "node", "leaf-1", "-o", "jsonpath={.metadata.labels}"]).and_then(|l| serde_json::from_str::<Value>(&l).ok());
    let labels = until("the node is labelled", PATIENCE, || labels().filter(|l| l["antihate.io/gpu"] == "true"));
    assert_eq!((&labels["antihate.io/gpu-model"], &labels["antihate.io/gpu-count"], &labels["antihate.io/gpu-driver"]), (&json!("Stand-in-16GB"), &json!("1"), &json!("999.1")));
    host.healthy();
    start(&host, "first");
    phase(&host, "first", "Running");
    the_pod_has_it(&host, "first");

    card.lose();
    let (degraded, gone) = (told(&host, false, "degraded: CPU. GPU-105"), has(&host, "0"));
    let status: Value = serde_json::from_slice(&host.antihate(&["status", "--json"]).stdout).expect("a status");
    assert!(status["healthy"] == true && status["summary"].as_str().is_some_and(|s| s.contains("Degraded: CPU")), "{}", status["summary"]);
    assert!(kubectl(&host, &["delete", "pod", "first"]).is_some());
    start(&host, "second");
    let waits = || kubectl(&host, &["get", "pod", "second", "-o", "jsonpath={.status.conditions[*].message}"]).filter(|m| m.contains("Insufficient nvidia.com/gpu"));
    until("the second pod waits for a card", PATIENCE, waits);
    card.give_back();
    let back = has(&host, "1");
    phase(&host, "second", "Running");
    the_pod_has_it(&host, "second");

    card.fault(true);
    card.error(79);
    told(&host, false, "GPU-106");
    has(&host, "0");
    card.fault(false);
    let computed = has(&host, "1");
    told(&host, true, "1 x Stand-in");

    assert!(kill9(&host, "kubelet --config") > 0);
    assert!(kubectl(&host, &["delete", "pod", "second"]).is_some());
    start(&host, "third");
    // A kubelet that has just begun may still count the card as the old pod's and refuse the new one; a controller would ask again.
    let phase_of = || kubectl(&host, &["get", "pod", "third", "-o", "jsonpath={.status.phase}"]);
    let asked_again = || {
        assert!(kubectl(&host, &["delete", "pod", "third"]).is_some());
        start(&host, "third");
    };
    until("the third pod runs", PATIENCE, || phase_of().inspect(|p| if p == "Failed" { asked_again() }).filter(|p| p == "Running"));
    the_pod_has_it(&host, "third");
    println!("card lost: told after {degraded:.1?}, taken from the kubelet {gone:.1?} later; given back after {back:.1?}; after an error and a computation that went right {computed:.1?}");
    let stopped = host.antihate(&["stop"]);
    assert!(stopped.status.success(), "{}", said(&stopped));
    drop(node.wait());
}
