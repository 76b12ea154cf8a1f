//! For tests: a real API server on loopback with a datastore of its own, from the payload's folder in ANTIHATE_TEST_KUBERNETES.

use super::{Cluster, ObjectRef};
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// kine and an API server in a folder of their own; both end with it.
pub struct Server {
    children: Vec<Child>,
    /// Its folder, with `kubeconfig`.
    pub dir: tempfile::TempDir,
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

/// Starts them; the client may do everything.
pub async fn server() -> (Server, Cluster) {
    server_with(|_, _| vec!["--authorization-mode=RBAC".into()]).await
}

/// The same with more arguments of the API server, made with its folder and port.
pub async fn server_with(more: impl FnOnce(&Path, u16) -> Vec<String>) -> (Server, Cluster) {
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    files(dir.path(), port);
    let socket = format!("unix://{}", dir.path().join("kine.sock").display());
    let mut kine = program("kine", dir.path());
    kine.args(["--endpoint", "sqlite://state.db?_journal=WAL", "--listen-address", &socket]);
    let mut api = program("kube-apiserver", dir.path());
    api.args([
        &format!("--etcd-servers={socket}"), &format!("--secure-port={port}"), "--bind-address=127.0.0.1", "--cert-dir=certs",
        "--token-auth-file=tokens.csv", "--service-cluster-ip-range=10.43.0.0/16",
        "--service-account-issuer=https://test", "--service-account-signing-key-file=sa.key", "--service-account-key-file=sa.pub",
    ]);
    api.args(more(dir.path(), port));
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
