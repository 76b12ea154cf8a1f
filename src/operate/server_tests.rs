//! The rendered stack against a real API server on loopback: every object is accepted, drift is healed, leftovers are pruned.
//!
//! Needs the Kubernetes payload's folder in ANTIHATE_TEST_KUBERNETES and no root. Without it these tests are left out
//! by name (`--ignored` runs them), so that nobody takes a skipped one for a passed one.

use super::apply;
use crate::cluster::{Applied, Cluster, ObjectRef};
use crate::config::{HostFacts, Resolved, Valid};
use crate::manifests::{Credentials, Group, render};
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// kine and an API server in a folder of their own; both end with it.
struct Server {
    children: Vec<Child>,
    dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn program(component: &str, dir: &Path) -> Command {
    let payload = PathBuf::from(std::env::var_os("ANTIHATE_TEST_KUBERNETES").expect("ANTIHATE_TEST_KUBERNETES names the payload's folder"));
    let log = std::fs::File::create(dir.join(format!("{component}.log"))).unwrap();
    let mut command = Command::new(payload.join("kubernetes"));
    command.arg(component).current_dir(dir).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command
}

/// Key of the service accounts, and the token and kubeconfig of an administrator.
fn files(dir: &Path, port: u16) {
    let key = p256::SecretKey::random(&mut rand::rngs::OsRng);
    std::fs::write(dir.join("sa.key"), key.to_pkcs8_pem(LineEnding::LF).unwrap()).unwrap();
    std::fs::write(dir.join("sa.pub"), key.public_key().to_public_key_pem(LineEnding::LF).unwrap()).unwrap();
    std::fs::write(dir.join("tokens.csv"), "only-for-this-test,admin,1,system:masters\n").unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "t",
        "clusters": [{"name": "t", "cluster": {"server": format!("https://127.0.0.1:{port}"), "insecure-skip-tls-verify": true}}],
        "users": [{"name": "t", "user": {"token": "only-for-this-test"}}],
        "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
    });
    std::fs::write(dir.join("kubeconfig"), kubeconfig.to_string()).unwrap();
}

async fn server() -> (Server, Cluster) {
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    files(dir.path(), port);
    let socket = format!("unix://{}", dir.path().join("kine.sock").display());
    let mut kine = program("kine", dir.path());
    kine.args(["--endpoint", "sqlite://state.db?_journal=WAL", "--listen-address", &socket]);
    let mut api = program("kube-apiserver", dir.path());
    api.args([
        &format!("--etcd-servers={socket}"), &format!("--secure-port={port}"), "--bind-address=127.0.0.1", "--cert-dir=certs",
        "--token-auth-file=tokens.csv", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.43.0.0/16",
        "--service-account-issuer=https://test", "--service-account-signing-key-file=sa.key", "--service-account-key-file=sa.pub",
    ]);
    let mut server = Server { children: vec![kine.spawn().unwrap()], dir };
    // The API server gives up soon when nobody listens.
    while !server.dir.path().join("kine.sock").exists() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.children.push(api.spawn().unwrap());
    let cluster = Cluster::connect(&server.dir.path().join("kubeconfig")).await.unwrap();
    let begun = Instant::now();
    let system = ObjectRef { api_version: "v1".into(), kind: "Namespace".into(), namespace: None, name: "kube-system".into() };
    while !cluster.get(&system).await.is_ok_and(|n| n.is_some()) {
        let log = || std::fs::read_to_string(server.dir.path().join("kube-apiserver.log")).unwrap_or_default();
        assert!(begun.elapsed() < Duration::from_secs(120), "no API server:\n{}", log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    (server, cluster)
}

fn stack(settings: &str) -> Vec<Group> {
    render(&Resolved::new(Valid::parse(settings).unwrap(), HostFacts::example()), &Credentials::masked())
}

async fn applied(cluster: &Cluster, groups: &[Group]) -> apply::Done {
    knowing(cluster, groups, &mut apply::Known::default()).await
}

async fn knowing(cluster: &Cluster, groups: &[Group], known: &mut apply::Known) -> apply::Done {
    // A fresh server makes its priority classes a moment after it answers.
    for _ in 0..50 {
        match apply::everything(cluster, groups, known, &|_| {}).await {
            Ok(done) => return done,
            Err(e) if e.is_transient() => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(e) => panic!("{}", e.problem().render()),
        }
    }
    panic!("the server stays busy");
}

fn deployment(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef { api_version: "apps/v1".into(), kind: "Deployment".into(), namespace: Some(namespace.into()), name: name.into() }
}

#[tokio::test]
#[ignore = "needs ANTIHATE_TEST_KUBERNETES"]
async fn a_server_accepts_the_whole_stack_and_further_passes_change_nothing() {
    let (_server, cluster) = server().await;
    let groups = stack("sample = true");
    let first = applied(&cluster, &groups).await;
    assert_eq!(first.changed.len(), groups.iter().map(|g| g.objects.len()).sum::<usize>());
    // The server writes a claim once more at its second apply, with the same content; from then on nothing moves.
    let second = applied(&cluster, &groups).await;
    assert!(second.changed.iter().all(|o| o.kind == "PersistentVolumeClaim") && second.pruned.is_empty(), "{second:?}");
    assert_eq!(applied(&cluster, &groups).await, apply::Done::default());
}

#[tokio::test]
#[ignore = "needs ANTIHATE_TEST_KUBERNETES"]
async fn drift_is_healed_and_what_nobody_wants_is_pruned_and_what_is_not_ours_stays() {
    let (_server, cluster) = server().await;
    // Once more, because a claim is written at the second apply too; then nothing is left to be done.
    let mut known = apply::Known::default();
    for _ in 0..3 {
        knowing(&cluster, &stack("sample = true"), &mut known).await;
    }
    assert_eq!(knowing(&cluster, &stack("sample = true"), &mut known).await, apply::Done::default());
    let foreign = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "of-the-site", "namespace": "antihate-system"}, "data": {"a": "b"}});
    assert_eq!(cluster.apply(&foreign).await.unwrap().0, Applied::Changed);
    cluster.delete(&deployment("antihate-monitoring", "prometheus")).await.unwrap();
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kafka-config", "namespace": "antihate-system"},
        "data": {"server.properties": "changed by hand"}});
    cluster.apply(&config).await.unwrap();

    let healed = knowing(&cluster, &stack(""), &mut known).await;

    let names: Vec<&str> = healed.changed.iter().map(|o| o.name.as_str()).collect();
    assert!(names.contains(&"kafka-config") && names.contains(&"prometheus"), "{names:?}");
    assert!(healed.pruned.contains(&deployment("antihate-coordination", "sample")), "{:?}", healed.pruned);
    assert!(cluster.get(&deployment("antihate-coordination", "sample")).await.unwrap().is_none());
    assert!(cluster.get(&ObjectRef::of(&foreign).unwrap()).await.unwrap().is_some());
    let kafka = cluster.get(&ObjectRef::of(&config).unwrap()).await.unwrap().unwrap();
    assert!(kafka.pointer("/data/server.properties").unwrap().as_str().unwrap().contains("advertised.listeners"));
}

#[tokio::test]
#[ignore = "needs ANTIHATE_TEST_KUBERNETES"]
async fn an_apply_that_broke_off_forgets_nothing_that_it_made() {
    let (_server, cluster) = server().await;
    let mut broken = stack("sample = true");
    broken.last_mut().unwrap().objects.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "is-not-there"}}));
    let failed = loop {
        match apply::everything(&cluster, &broken, &mut apply::Known::default(), &|_| {}).await {
            Err(e) if e.is_transient() => tokio::time::sleep(Duration::from_millis(200)).await,
            other => break other,
        }
    };
    assert!(failed.is_err());
    assert!(cluster.get(&deployment("antihate-coordination", "sample")).await.unwrap().is_some());
    let next = applied(&cluster, &stack("")).await;
    assert!(next.pruned.contains(&deployment("antihate-coordination", "sample")), "{:?}", next.pruned);
}
