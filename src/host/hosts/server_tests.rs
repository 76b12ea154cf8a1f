//! A removed host before a real API server. Needs ANTIHATE_TEST_KUBERNETES (see `operate::server_tests`).

use crate::cluster::Cluster;
use crate::cluster::test_server::server_with;
use crate::config::Place;
use crate::config::layout::Layout;
use crate::files;
use crate::host::render::control::{AUTHORIZATION, authorization, nobody};
use crate::host::render::settings;
use crate::host::settings::Settings;
use crate::pki::cluster::{self, ClusterNames};
use crate::pki::joined;
use std::path::Path;
use std::time::{Duration, Instant};

fn names(node: &str, id: &str, api_port: u16) -> ClusterNames {
    ClusterNames { node: node.into(), node_ip: [127, 0, 0, 1].into(), service_ip: [10, 43, 0, 1].into(), api_port, id: id.into() }
}

/// Settings of a control plane in `dir`, from which these were removed.
fn without(dir: &Path, gone: &[&str]) -> Settings {
    Settings { layout: Layout::new(dir), place: Place { gone: gone.iter().map(ToString::to_string).collect(), ..Place::alone() }, ..settings() }
}

fn write(s: &Settings) {
    for (name, text) in [(AUTHORIZATION, authorization(s)), ("nobody.kubeconfig", nobody(s))] {
        files::replace(&s.etc(name), text.as_bytes(), 0o600).unwrap();
    }
}

/// What a host of this name and identity was given: as kubelet, as kube-proxy.
async fn host(s: &Settings, node: &str, id: &str, port: u16) -> (tempfile::TempDir, Cluster, Cluster) {
    let dir = tempfile::tempdir().unwrap();
    let given = joined::issue(&s.layout.pki(), &names(node, id, port), time::OffsetDateTime::now_utc()).unwrap();
    joined::adopt(dir.path(), &given).unwrap();
    joined::ensure(dir.path(), port).unwrap();
    let user = async |name: &str| Cluster::connect(&dir.path().join(format!("{name}.kubeconfig"))).await.unwrap();
    let (kubelet, proxy) = (user("kubelet").await, user("kube-proxy").await);
    (dir, kubelet, proxy)
}

async fn until(what: &str, done: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < Duration::from_secs(180), "never: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ANTIHATE_TEST_KUBERNETES"]
async fn certificates_of_a_removed_host_are_turned_away_and_those_of_the_next_one_of_its_name_are_not() {
    let mut at = None;
    let (_server, _cluster) = server_with(|dir, port| {
        let s = without(dir, &[]);
        cluster::ensure(&s.layout.pki(), &names("one", "1", port), time::OffsetDateTime::now_utc()).unwrap();
        write(&s);
        let pki = |file: &str| s.layout.pki().join(file).display().to_string();
        let args = [("authorization-config", s.etc(AUTHORIZATION).display().to_string()), ("client-ca-file", pki("trust.crt")), ("tls-cert-file", pki("apiserver.crt")), ("tls-private-key-file", pki("apiserver.key"))];
        at = Some((dir.to_path_buf(), port));
        args.into_iter().map(|(name, value)| format!("--{name}={value}")).collect()
    })
    .await;
    let (dir, port) = at.unwrap();
    let s = without(&dir, &[]);
    let (_two, kubelet, proxy) = host(&s, "two", "22", port).await;
    let (_three, other, _) = host(&s, "three", "33", port).await;
    for (name, user) in [("two", &kubelet), ("three", &other)] {
        assert!(user.node(name).await.unwrap().is_none(), "it may ask for its own node");
    }
    // The API server makes its own roles a moment after its start.
    until("kube-proxy may ask for nodes", async || proxy.nodes().await.is_ok()).await;

    write(&without(&dir, &["11", "22"]));
    let begun = Instant::now();
    until("it is turned away", async || kubelet.node("two").await.is_err()).await;
    println!("a removed host is turned away {:.1} s after the file was written", begun.elapsed().as_secs_f64());
    assert!(proxy.nodes().await.is_err());
    assert!(kubelet.report_keys("two", "{}").await.is_err());
    other.node("three").await.unwrap();
    let (_again, next, next_proxy) = host(&s, "two", "44", port).await;
    next.node("two").await.unwrap();
    next_proxy.nodes().await.unwrap();
}
