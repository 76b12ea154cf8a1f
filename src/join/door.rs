//! Where a control plane lets hosts in: accepts, shakes hands, decides by what the datastore says, answers.

use super::protocol::{Facts, JoinAnswer, JoinRequest, LABEL, MAX_BODY, MemberAnswer, MemberRequest, RenewAnswer, RenewRequest, ShareAnswer, ShareRequest, path};
use super::{code, decide, problem, registry};
use crate::cluster::Cluster;
use crate::config::Place;
use crate::config::place::{Between, Datastore, Host, Stack};
use crate::pki::cluster::{ClusterNames, HOST, PkiError, group_of};
use crate::pki::enroll::tls_server::{Acceptor, Caller};
use crate::pki::rotation::{self, Phase};
use crate::pki::{joined, mesh};
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
    /// Takes the damaged member of etcd of a control plane off and adds a new one; the list with which it begins. Refuses where too
    /// few members would be left.
    async fn member_anew(&self, host: &Host) -> Result<String, Problem>;
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
    /// Which families of addresses pods and services have.
    pub stack: Stack,
    /// The host.
    pub keeper: Arc<dyn Keeper>,
}

struct Peer {
    exporter: [u8; 32],
    caller: Option<Caller>,
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
        self.keys_stand_still(&cluster).await?;
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
        let gone = registry::removed(&cluster).await?.into_iter().map(|r| r.id).collect();
        let datastore = if host.control { Datastore::Etcd } else { Datastore::Kine };
        Ok(JoinAnswer { place: Place { index: host.index, control: host.control, pools: host.pools, datastore, members, between: self.between, stack: self.stack, hosts, gone }, files: files.map_err(|e| pki(&e))? })
    }

    async fn renew(&self, request: RenewRequest, peer: &Peer) -> Result<RenewAnswer, Problem> {
        let cluster = Cluster::connect(&self.kubeconfig).await.map_err(|e| e.problem())?;
        let (host, hosts) = registry::change_hosts(&cluster, |hosts| {
            let host = Host { address: request.address, ..known(hosts, peer)?.clone() };
            with(hosts, &host);
            Ok((host, hosts.clone()))
        })
        .await?;
        self.keeper.changed();
        let files = joined::issue(&self.pki, &self.names(&host), time::OffsetDateTime::now_utc()).map_err(|e| pki(&e))?;
        Ok(RenewAnswer { files, hosts })
    }

    /// What control planes share goes to a host that is one, and to nobody else.
    async fn share(&self, _: ShareRequest, peer: &Peer) -> Result<ShareAnswer, Problem> {
        self.control(peer).await?;
        Ok(ShareAnswer { files: joined::pattern(&self.pki).map_err(|e| pki(&e))? })
    }

    async fn member(&self, _: MemberRequest, peer: &Peer) -> Result<MemberAnswer, Problem> {
        let host = self.control(peer).await?;
        Ok(MemberAnswer { members: self.keeper.member_anew(&host).await? })
    }

    /// The control plane that asks.
    async fn control(&self, peer: &Peer) -> Result<Host, Problem> {
        let cluster = Cluster::connect(&self.kubeconfig).await.map_err(|e| e.problem())?;
        let hosts = registry::hosts(&cluster).await?.unwrap_or_default();
        let host = known(&hosts, peer)?;
        if host.control {
            return Ok(host.clone());
        }
        Err(problem(122, "this host runs no control plane", format!("{} was joined without one", host.name), "Remove it and join it again with a code of `antihate node add --control`."))
    }

    /// A host that joined in the middle of a change of keys could get some of which its control plane does not know yet.
    async fn keys_stand_still(&self, cluster: &Cluster) -> Result<(), Problem> {
        let open = registry::wanted(cluster).await?.and_then(|w| w.open);
        if rotation::phase(&self.pki) == Phase::Idle && open.is_none() {
            return Ok(());
        }
        let finish = open.map_or("antihate rotate-authority", super::keys::Change::command);
        Err(problem(115, "the cluster's keys are being changed", format!("until it is done nobody can join; if it was broken off, `{finish}` on a control-plane host finishes it"), "Wait: it is asked again by itself."))
    }

    fn names(&self, host: &Host) -> ClusterNames {
        ClusterNames { node: host.name.clone(), node_ip: host.address, service_ip: self.api.0, api_port: self.api.1, id: mesh::id(&host.mesh_key) }
    }
}

/// The host of the list whose certificate was shown. A host of the same name that was removed has another group.
fn known<'a>(hosts: &'a [Host], peer: &Peer) -> Result<&'a Host, Problem> {
    let name = peer.caller.as_ref().and_then(|c| c.name.strip_prefix(HOST)).unwrap_or_default();
    let is_its = |h: &&Host| peer.caller.as_ref().is_some_and(|c| c.groups.contains(&group_of(&mesh::id(&h.mesh_key))));
    let host = hosts.iter().find(|h| h.name == name).filter(is_its);
    host.ok_or_else(|| problem(116, "this host does not belong to the cluster any more", format!("no host {name:?} with these keys is in its list"), "Take it off with `antihate reset` and join it again."))
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
    let Ok(Ok((stream, exporter, caller))) = tokio::time::timeout(PATIENCE, acceptor.accept_named(tcp, LABEL)).await else { return };
    let service = router(door).layer(Extension(Arc::new(Peer { exporter, caller })));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
    drop(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await);
}

fn router(door: Arc<Door>) -> Router {
    let join = async |State(door): State<Arc<Door>>, Extension(peer): Extension<Arc<Peer>>, Json(request): Json<JoinRequest>| answer(door.join(request, &peer).await);
    let renew = async |State(door): State<Arc<Door>>, Extension(peer): Extension<Arc<Peer>>, Json(request): Json<RenewRequest>| answer(door.renew(request, &peer).await);
    let share = async |State(door): State<Arc<Door>>, Extension(peer): Extension<Arc<Peer>>, Json(request): Json<ShareRequest>| answer(door.share(request, &peer).await);
    let member = async |State(door): State<Arc<Door>>, Extension(peer): Extension<Arc<Peer>>, Json(request): Json<MemberRequest>| answer(door.member(request, &peer).await);
    Router::new().route(path::JOIN, post(join)).route(path::RENEW, post(renew)).route(path::SHARE, post(share)).route(path::MEMBER, post(member)).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(door)
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
