//! Where a control plane lets hosts in: accepts, shakes hands, decides by what the datastore says, answers.

use super::protocol::{Facts, JoinAnswer, JoinRequest, LABEL, MAX_BODY, RenewAnswer, RenewRequest, path};
use super::{code, decide, problem, registry};
use crate::cluster::Cluster;
use crate::config::Place;
use crate::config::place::{Between, Datastore, Host};
use crate::pki::cluster::{ClusterNames, PkiError};
use crate::pki::enroll::tls_server::Acceptor;
use crate::pki::joined;
use crate::status::Problem;
use crate::task::group::Group;
use async_trait::async_trait;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use chrono::Utc;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Connections at a time.
const CONNECTIONS: usize = 32;
/// Longest handshake or head of a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the door needs of the host that it belongs to.
#[async_trait]
pub trait Keeper: Send + Sync + 'static {
    /// This host, as the others are to know it.
    fn own(&self) -> Result<Host, Problem>;
    /// Makes room for another control plane; the list of etcd's members with which it begins. A problem with the code
    /// [`WAIT`] asks to come again.
    async fn admit_control(&self, host: &Host) -> Result<String, Problem>;
    /// The list of hosts has changed.
    fn changed(&self);
}

/// The code of a problem that passes by itself.
pub const WAIT: &str = "JOI-115";

/// What a control plane answers with.
pub struct Door {
    /// The cluster's key folder.
    pub pki: PathBuf,
    /// Credentials for the API server, with the right to everything.
    pub kubeconfig: PathBuf,
    /// Address of the service `kubernetes.default`, and port of the API server.
    pub api: (Ipv4Addr, u16),
    /// Version of this file's Kubernetes.
    pub kubernetes: String,
    /// How pods' packets travel between the hosts.
    pub between: Between,
    /// The host.
    pub keeper: Arc<dyn Keeper>,
}

struct Peer {
    exporter: [u8; 32],
    name: Option<String>,
}

impl Door {
    /// Serves until it is dropped; the certificate is read anew for every connection, so that a renewed one counts at once.
    pub async fn serve(self, listener: TcpListener) {
        let (door, slots, mut open) = (Arc::new(self), Arc::new(tokio::sync::Semaphore::new(CONNECTIONS)), Group::new(CONNECTIONS));
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let Ok((tcp, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let door = door.clone();
            open.start(async move {
                drop(tokio::time::timeout(PATIENCE * 12, connection(door, tcp)).await);
                drop(slot);
            })
            .await;
        }
    }

    fn acceptor(&self) -> Result<Acceptor, Problem> {
        let read = |name: &str| std::fs::read_to_string(self.pki.join(name)).map_err(|e| broken(&e));
        let chain = read("apiserver.crt")? + &read("ca.crt")?;
        let key = PrivateKeyDer::from_pem_slice(read("apiserver.key")?.as_bytes()).map_err(|e| broken(&e))?;
        Acceptor::of(&chain, key, &read("trust.crt")?).map_err(|e| broken(&e))
    }

    async fn join(&self, request: JoinRequest, peer: &Peer) -> Result<JoinAnswer, Problem> {
        let unreadable = |e: &dyn std::fmt::Display| problem(117, "the request cannot be read", e.to_string(), "Use the same file on both hosts.");
        let facts: Facts = serde_json::from_str(&request.facts).map_err(|e| unreadable(&e))?;
        decide::versions((env!("CARGO_PKG_VERSION"), &self.kubernetes), &facts)?;
        let cluster = Cluster::connect(&self.kubeconfig).await.map_err(|e| e.problem())?;
        let codes = registry::codes(&cluster).await?;
        let issued = decide::code(&codes, &request.id, &facts, Utc::now())?.clone();
        proven(&issued, &request, &peer.exporter)?;
        let own = self.keeper.own()?;
        let mut hosts = registry::hosts(&cluster).await?.unwrap_or_default();
        with(&mut hosts, &own);
        decide::admit(&hosts, &issued, &facts)?; // before the code is spent: what is refused here can be mended and tried again
        registry::change_codes(&cluster, |codes| {
            let id = decide::code(codes, &request.id, &facts, Utc::now())?.id.clone();
            let used = decide::Used { name: facts.name.clone(), mesh_key: facts.mesh_key.clone() };
            codes.iter_mut().filter(|c| c.id == id).for_each(|c| c.used = Some(used.clone()));
            Ok(())
        })
        .await?;
        let (host, hosts) = registry::change_hosts(&cluster, |hosts| {
            with(hosts, &own);
            let host = decide::admit(hosts, &issued, &facts)?;
            with(hosts, &host);
            Ok((host, hosts.clone()))
        })
        .await?;
        tracing::info!(host = %host.name, address = %host.address, control = host.control, "a host joins the cluster");
        self.keeper.changed();
        let members = if host.control { self.keeper.admit_control(&host).await? } else { String::new() };
        let files = if host.control { joined::shared(&self.pki) } else { joined::issue(&self.pki, &self.names(&host), time::OffsetDateTime::now_utc()) };
        let datastore = if host.control { Datastore::Etcd } else { Datastore::Kine };
        Ok(JoinAnswer { place: Place { index: host.index, control: host.control, pools: host.pools, datastore, members, between: self.between, hosts }, files: files.map_err(|e| pki(&e))? })
    }

    async fn renew(&self, request: RenewRequest, peer: &Peer) -> Result<RenewAnswer, Problem> {
        let name = peer.name.as_deref().and_then(|n| n.strip_prefix("antihate:host:")).unwrap_or_default().to_owned();
        let cluster = Cluster::connect(&self.kubeconfig).await.map_err(|e| e.problem())?;
        let (host, hosts) = registry::change_hosts(&cluster, |hosts| {
            let known = hosts.iter_mut().find(|h| h.name == name && !name.is_empty());
            let host = known.ok_or_else(|| problem(116, "this host does not belong to the cluster any more", format!("no host {name:?} is in its list"), "Take it off with `antihate reset` and join it again."))?;
            host.address = request.address;
            let host = host.clone();
            Ok((host, hosts.clone()))
        })
        .await?;
        self.keeper.changed();
        let files = joined::issue(&self.pki, &self.names(&host), time::OffsetDateTime::now_utc()).map_err(|e| pki(&e))?;
        Ok(RenewAnswer { files, hosts })
    }

    fn names(&self, host: &Host) -> ClusterNames {
        ClusterNames { node: host.name.clone(), node_ip: host.address, service_ip: self.api.0, api_port: self.api.1 }
    }
}

/// The list with this host in it, as it is now.
fn with(hosts: &mut Vec<Host>, host: &Host) {
    hosts.retain(|h| h.name != host.name);
    hosts.push(host.clone());
    hosts.sort_by_key(|h| h.index);
}

/// Whether the request was signed with the code, in this session.
fn proven(issued: &decide::Issued, request: &JoinRequest, exporter: &[u8; 32]) -> Result<(), Problem> {
    let public: Option<[u8; 32]> = hex::decode(&issued.public).ok().and_then(|p| p.try_into().ok());
    let signature: Option<[u8; 64]> = hex::decode(&request.signature).ok().and_then(|s| s.try_into().ok());
    let good = public.zip(signature).is_some_and(|(public, signature)| code::verify(&public, &request.facts, exporter, &signature));
    if good { Ok(()) } else { Err(problem(103, "the join code is not known, or its hour is over", "the request was not made with it", "Make another with `antihate node add` on a control-plane host.")) }
}

async fn connection(door: Arc<Door>, tcp: TcpStream) {
    tcp.set_nodelay(true).ok();
    let acceptor = match door.acceptor() {
        Ok(acceptor) => acceptor,
        Err(problem) => return tracing::warn!(problem = %problem.render(), "nobody can join"),
    };
    let Ok(Ok((stream, exporter, name))) = tokio::time::timeout(PATIENCE, acceptor.accept_named(tcp, LABEL)).await else { return };
    let service = router(door).layer(Extension(Arc::new(Peer { exporter, name })));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
    drop(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await);
}

fn router(door: Arc<Door>) -> Router {
    let join = async |State(door): State<Arc<Door>>, Extension(peer): Extension<Arc<Peer>>, Json(request): Json<JoinRequest>| answer(door.join(request, &peer).await);
    let renew = async |State(door): State<Arc<Door>>, Extension(peer): Extension<Arc<Peer>>, Json(request): Json<RenewRequest>| answer(door.renew(request, &peer).await);
    Router::new().route(path::JOIN, post(join)).route(path::RENEW, post(renew)).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(door)
}

fn answer<A: serde::Serialize>(done: Result<A, Problem>) -> Response {
    match done {
        Ok(answer) => Json(answer).into_response(),
        Err(problem) => {
            let status = if problem.code == WAIT { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::FORBIDDEN };
            tracing::info!(code = %problem.code, cause = %problem.cause, "a host was not let in: {}", problem.what);
            (status, Json(problem)).into_response()
        }
    }
}

fn broken(e: &dyn std::fmt::Display) -> Problem {
    problem(118, "this control plane cannot let hosts in", e.to_string(), "See `antihate status`: it needs its keys.")
}

fn pki(e: &PkiError) -> Problem {
    broken(&format!("{e}: {}", std::error::Error::source(e).map(ToString::to_string).unwrap_or_default()))
}
