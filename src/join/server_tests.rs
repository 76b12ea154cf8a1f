//! Joining over real connections, decided on a real API server. Needs ANTIHATE_TEST_KUBERNETES (see `operate::server_tests`).

use super::ask::{self, Member};
use super::code::{Code, id_of};
use super::decide::{CODE_LIFE, Issued};
use super::door::{Door, Keeper};
use super::keys::{Change, Held, Wanted};
use super::protocol::{Facts, RenewRequest};
use super::registry;
use crate::cluster::Cluster;
use crate::cluster::test_server::{Server, server};
use crate::config::place::{Host, Pool};
use crate::pki::cluster::{self as keys, ClusterNames};
use crate::pki::enroll::device::DeviceKey;
use crate::pki::enroll::{certificates, spki_hash};
use crate::pki::joined::{self, Files};
use crate::pki::{mesh, rotation};
use crate::status::Problem;
use chrono::Utc;
use std::net::SocketAddrV4;
use std::path::Path;
use std::sync::Arc;

const KUBERNETES: &str = "v1.37.2";

struct First;

fn key(n: u8) -> String {
    data_encoding::BASE64.encode(&[n; 32])
}

#[async_trait::async_trait]
impl Keeper for First {
    fn own(&self) -> Result<Host, Problem> {
        Ok(Host { name: "one".into(), index: 0, address: [192, 0, 2, 1].into(), pools: Pool::ALL.into(), control: true, mesh_key: key(1), version: "0.1.0".into() })
    }

    async fn admit_control(&self, host: &Host) -> Result<String, Problem> {
        Ok(format!("one=https://192.0.2.1:2380,{}=https://{}:2380", host.name, host.address))
    }

    async fn member_anew(&self, host: &Host) -> Result<String, Problem> {
        Ok(format!("anew={}", host.name))
    }

    fn changed(&self) {}
}

struct Site {
    _server: Server,
    cluster: Cluster,
    pki: tempfile::TempDir,
    address: SocketAddrV4,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A control plane whose door stands on loopback.
async fn site() -> Site {
    let (server, cluster) = server().await;
    let pki = tempfile::tempdir().unwrap();
    let names = ClusterNames { node: "one".into(), node_ip: [127, 0, 0, 1].into(), service_ip: [10, 43, 0, 1].into(), api_port: 6443, id: "1".into() };
    keys::ensure(pki.path(), &names, time::OffsetDateTime::now_utc()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let std::net::SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!() };
    let door = Door { pki: pki.path().into(), kubeconfig: server.dir.path().join("kubeconfig"), api: ([10, 43, 0, 1].into(), 6443), kubernetes: KUBERNETES.into(), between: crate::config::place::Between::Open, stack: crate::config::place::Stack::Ipv4, keeper: Arc::new(First) };
    #[allow(clippy::disallowed_methods)]
    let serving = tokio::task::spawn(door.serve(listener));
    Site { _server: server, cluster, pki, address, serving }
}

impl Site {
    fn pin(&self) -> [u8; 32] {
        let pem = std::fs::read_to_string(self.pki.path().join("ca.crt")).unwrap();
        spki_hash(&certificates(&pem).unwrap()[0]).unwrap()
    }

    async fn code(&self, control: bool) -> Code {
        let code = Code::generate(self.pin(), self.address);
        let issued = Issued { id: id_of(&code.public()), public: hex::encode(code.public()), expires: Utc::now() + CODE_LIFE, pools: [Pool::Analysis].into(), control, used: None };
        registry::change_codes(&self.cluster, |codes| {
            codes.push(issued.clone());
            Ok(())
        })
        .await
        .unwrap();
        code
    }
}

fn facts(n: u8) -> Facts {
    Facts { name: format!("host-{n}"), address: [192, 0, 2, n].into(), mesh_key: key(n), version: env!("CARGO_PKG_VERSION").into(), kubernetes: KUBERNETES.into() }
}

fn quiet(_: &str) {}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ANTIHATE_TEST_KUBERNETES"]
async fn of_twenty_hosts_with_one_code_one_joins_and_it_may_ask_again() {
    let site = site().await;
    let code = site.code(false).await;
    let all: Vec<Facts> = (10..30).map(facts).collect();
    let asked = futures::future::join_all(all.iter().map(|f| ask::join(&code, f, &quiet))).await;
    let won: Vec<usize> = asked.iter().enumerate().filter(|(_, a)| a.is_ok()).map(|(i, _)| i).collect();
    assert_eq!(won.len(), 1, "{:?}", asked.iter().map(|a| a.as_ref().map(|_| ()).map_err(|p| p.code.clone())).collect::<Vec<_>>());
    for refused in asked.iter().filter_map(|a| a.as_ref().err()) {
        assert!(["JOI-104", "JOI-113"].contains(&refused.code.as_str()), "{refused:?}");
    }
    let first = asked[won[0]].as_ref().unwrap();
    assert_eq!((first.place.index, first.place.control, first.place.hosts.len()), (1, false, 2));
    let again = ask::join(&code, &all[won[0]], &quiet).await.unwrap();
    assert_eq!(again.place, first.place, "its answer was lost: it is told the same");
    assert_eq!(registry::hosts(&site.cluster).await.unwrap().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ANTIHATE_TEST_KUBERNETES"]
async fn another_cluster_an_unknown_code_and_a_newer_file_are_refused() {
    let site = site().await;
    let told = async |code: &Code, facts: &Facts| ask::join(code, facts, &quiet).await.map(|_| ()).unwrap_err().code;
    let stranger = Code::generate([9; 32], site.address);
    assert_eq!(told(&stranger, &facts(40)).await, "JOI-109", "nothing was sent to it");
    let unknown = Code::generate(site.pin(), site.address);
    assert_eq!(told(&unknown, &facts(40)).await, "JOI-103");
    let code = site.code(false).await;
    assert_eq!(told(&code, &Facts { kubernetes: "v1.38.0".into(), ..facts(40) }).await, "JOI-106");
    assert_eq!(told(&code, &Facts { name: "one".into(), ..facts(40) }).await, "JOI-105");
    let closed = Code::generate(site.pin(), "127.0.0.1:1".parse().unwrap());
    assert_eq!(told(&closed, &facts(40)).await, "JOI-108");
    ask::join(&code, &facts(40), &quiet).await.unwrap();
}

/// Who a host is that was given these files.
fn member(site: &Site, files: &Files) -> Member {
    let dir = tempfile::tempdir().unwrap();
    joined::adopt(dir.path(), files).unwrap();
    named(site, dir.path(), "host")
}

fn named(site: &Site, dir: &Path, file: &str) -> Member {
    Member { pins: vec![[9; 32], site.pin()], key: DeviceKey::load_or_create(&dir.join(format!("{file}.key"))).unwrap(), chain: std::fs::read_to_string(dir.join(format!("{file}.crt"))).unwrap() }
}

async fn remove(site: &Site, name: &str) {
    registry::change_hosts(&site.cluster, |hosts| {
        hosts.retain(|h| h.name != name);
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ANTIHATE_TEST_KUBERNETES"]
async fn a_joined_host_renews_its_keys_until_it_is_removed_also_when_another_has_its_name_then() {
    let site = site().await;
    let answer = ask::join(&site.code(false).await, &facts(50), &quiet).await.unwrap();
    let host = member(&site, &answer.files);
    let moved = RenewRequest { address: [192, 0, 2, 99].into() };
    let renewed = host.renew(site.address, &moved).await.unwrap();
    assert_ne!(renewed.files["kubelet.key"], answer.files["kubelet.key"]);
    assert!(renewed.hosts.iter().any(|h| h.address == moved.address));
    remove(&site, "host-50").await;
    assert_eq!(host.renew(site.address, &moved).await.unwrap_err().code, "JOI-116");
    let again = ask::join(&site.code(true).await, &Facts { mesh_key: key(51), ..facts(50) }, &quiet).await.unwrap();
    assert!(again.place.control);
    for refused in [host.renew(site.address, &moved).await.map(drop), host.share(site.address).await.map(drop)] {
        assert_eq!(refused.unwrap_err().code, "JOI-116", "the new host of this name is another one");
    }
    // A certificate of the same authority that is no host's.
    assert_eq!(named(&site, site.pki.path(), "admin").renew(site.address, &moved).await.unwrap_err().code, "JOI-116");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ANTIHATE_TEST_KUBERNETES"]
async fn a_control_plane_gets_the_authorities_and_follows_a_change_of_them_and_nobody_joins_meanwhile() {
    let site = site().await;
    let worker = ask::join(&site.code(false).await, &facts(50), &quiet).await.unwrap();
    assert_eq!(member(&site, &worker.files).share(site.address).await.unwrap_err().code, "JOI-122");
    assert_eq!(member(&site, &worker.files).anew(site.address).await.unwrap_err().code, "JOI-122");

    let answer = ask::join(&site.code(true).await, &facts(60), &quiet).await.unwrap();
    assert!(answer.place.control && answer.place.members.contains("host-60=https://192.0.2.60:2380"));
    let dir = tempfile::tempdir().unwrap();
    joined::adopt(dir.path(), &answer.files).unwrap();
    assert!(joined::has_shared(dir.path()));
    let names = ClusterNames { node: "host-60".into(), node_ip: [192, 0, 2, 60].into(), service_ip: [10, 43, 0, 1].into(), api_port: 6443, id: mesh::id(&key(60)) };
    let now = time::OffsetDateTime::now_utc();
    keys::ensure(dir.path(), &names, now).unwrap();

    let code = site.code(false).await;
    rotation::announce(site.pki.path(), now).unwrap();
    let refused = ask::join_once(&code, &facts(70)).await.unwrap_err();
    assert!(refused.code == "JOI-115" && refused.cause.contains("rotate-authority"), "{refused:?}");
    let shared = named(&site, dir.path(), "host").share(site.address).await.unwrap();
    joined::follow(dir.path(), &shared.files).unwrap();
    assert_eq!(rotation::trusted(dir.path()), rotation::trusted(site.pki.path()));
    assert_ne!(shared.files["trust.crt"], answer.files["ca.crt"]);
    assert_eq!(named(&site, dir.path(), "host").anew(site.address).await.unwrap().members, "anew=host-60");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ANTIHATE_TEST_KUBERNETES"]
async fn what_every_host_is_to_hold_is_kept_in_the_cluster_and_closes_the_door_while_it_changes() {
    let site = site().await;
    assert_eq!(registry::wanted(&site.cluster).await.unwrap(), None);
    let wanted = Wanted { from: "one".into(), open: Some(Change::Secrets), held: Held { trust: "t".into(), secrets: "s".into() } };
    registry::want(&site.cluster, &wanted).await.unwrap();
    assert_eq!(registry::wanted(&site.cluster).await.unwrap().as_ref(), Some(&wanted));
    let code = site.code(false).await;
    assert_eq!(ask::join_once(&code, &facts(70)).await.unwrap_err().code, "JOI-115");
    registry::want(&site.cluster, &Wanted { open: None, ..wanted }).await.unwrap();
    ask::join_once(&code, &facts(70)).await.unwrap();
}
