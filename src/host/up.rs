//! The host process: from an empty disk to a running node, each step idempotent, killed anywhere it goes on.
//!
//! A step takes what the step before it made, so a wrong order cannot be written. A failed step is shown and tried again;
//! only a damaged payload ends the process, because no second try can help there.

use super::board::{self, Board};
use super::gpu::Gpus;
use super::kubernetes::{self, Running};
use super::hosts::{self, Hosts, member, moving};
use super::policy::{Enforcer, filter};
use super::probe::{Credentials, Tls};
use super::settings::{API_PORT, SERVICE_IP, Settings};
use super::distribution::Distribution;
use super::storage::keep::Keeper;
use super::storage::luks;
use super::watching::News;
use super::{check, heal, images, k3s, mesh, prepare, stop, survey};
use crate::payload::{self, Payload};
use crate::pki::cluster::{self, ClusterNames};
use crate::config::place::{Between, Datastore};
use crate::pki::{encryption, mesh as mesh_keys};
use crate::pki::joined;
use crate::process::memory;
use crate::status::{Problem, StepState};
use chrono::Utc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// What the node's parts share.
#[derive(Clone)]
pub struct Node {
    /// The node, resolved.
    pub settings: Arc<Settings>,
    /// What was carried or given.
    pub payload: Arc<Payload>,
    /// Where its state is published.
    pub board: Board,
    /// Ends everything.
    pub stop: CancellationToken,
    /// Cancelled once Kubernetes runs and the images are there: what works on the cluster may begin.
    pub ready: CancellationToken,
    /// Cancelled once the keys are there.
    pub keyed: CancellationToken,
    /// Keeps the network policies in force; somebody must run it.
    pub policy: Enforcer,
    /// Keeps the GPUs in use; somebody must run it.
    pub gpus: Gpus,
    /// Looks after the volumes; somebody must run it.
    pub storage: Keeper,
    /// Cancelled when the node ended in order to start again: a damaged part is to be made anew, or the world has changed.
    pub again: CancellationToken,
    /// The other hosts of the cluster; somebody must look after them.
    pub hosts: Hosts,
    running: Arc<Mutex<Option<Running>>>,
}

/// Waits between tries of a failed step.
const RETRY: Duration = Duration::from_secs(5);

/// Proof that the host is prepared.
pub struct Prepared;
/// Proof that the distribution lies unpacked.
pub struct Unpacked;
/// The keys, with a client that uses them.
pub struct Keys {
    /// Asks this host's components.
    pub tls: Tls,
}

impl Node {
    /// A node that has not begun.
    pub fn new(settings: Settings, payload: Payload, board: Board, gpus: Gpus, stop: CancellationToken) -> Node {
        let hosts = Hosts::new(&settings);
        let policy = Enforcer::new(hosts.others.subscribe());
        Node { hosts, settings: Arc::new(settings), payload: Arc::new(payload), board, stop, ready: CancellationToken::new(), keyed: CancellationToken::new(), policy, gpus, storage: Keeper::new(), again: CancellationToken::new(), running: Arc::default() }
    }

    /// Brings the node up and keeps it so until stop is asked for; then ends everything in order.
    pub async fn run(&self) -> Result<(), Problem> {
        // In this order: a node that is asked to stop must not begin a step any more.
        let mut pods_go_on = false;
        let brought = tokio::select! {
            biased;
            () = self.stop.cancelled() => Ok(()),
            part = self.notice() => {
                pods_go_on = part.spares_pods();
                self.again.cancel();
                Ok(())
            }
            () = self.upkeep() => {
                pods_go_on = true;
                self.again.cancel();
                Ok(())
            }
            () = self.hosts.regroup.cancelled() => {
                tracing::info!("the cluster is another one now: the components start anew; pods go on");
                pods_go_on = true;
                self.again.cancel();
                Ok(())
            }
            result = self.bring_up() => result,
        };
        let (settings, for_good) = (self.settings.clone(), self.stop.is_cancelled());
        let running = self.running.lock().await.take();
        let ended = tokio::task::spawn_blocking(move || {
            if pods_go_on {
                stop::components(running);
                return Ok(());
            }
            stop::all(&settings, running)?;
            // One that starts again at once finds its volumes open.
            if for_good { luks::close(&settings.layout) } else { Ok(()) }
        })
        .await;
        brought.and(ended.unwrap_or_else(|e| Err(Problem::new("STP-103", "stopping broke off", e.to_string(), "run `antihate stop`"))))
    }

    async fn bring_up(&self) -> Result<(), Problem> {
        let prepared = self.until_done("prepare", || self.prepare()).await?;
        let unpacked = self.until_done("unpack", || self.unpack(&prepared)).await?;
        if self.settings.encrypt.is_some() {
            // With programs that have to be unpacked first.
            self.until_done("prepare", || self.encrypted_volumes(&unpacked)).await?;
        }
        if self.storage.was_missed() {
            self.again.cancel();
            return Ok(());
        }
        let keys = self.until_done("keys", || self.keys(&unpacked)).await?;
        self.keyed.cancel();
        if self.settings.place.datastore == Datastore::Moving {
            self.until_done("kubernetes", || self.move_datastore()).await?;
            self.hosts.regroup.cancel();
            std::future::pending::<()>().await;
        }
        if let Some(why) = member::damage(&self.settings) {
            if self.until_done("kubernetes", || self.member_anew(&why)).await? {
                self.hosts.regroup.cancel();
                std::future::pending::<()>().await;
            }
        }
        // A new cluster, unlike one that is joined, has no pods that wait for images, and the import would take the processors from what makes the node Ready.
        // An old one starts its pods as soon as it can, so that what its runtime lost must come back beside the start.
        let layout = &self.settings.layout;
        let new = !heal::database(layout).exists() && !self.settings.place.is_joined();
        let (kubernetes, images) = (|| self.kubernetes(&keys), || self.images(&keys));
        if new {
            self.until_done("kubernetes", kubernetes).await?;
            self.until_done("images", images).await?;
        } else {
            tokio::try_join!(self.until_done("kubernetes", kubernetes), self.until_done("images", images))?;
        }
        self.ready.cancel();
        self.watch(&keys).await
    }

    /// Runs a step until it succeeds.
    async fn until_done<T, F: Future<Output = Result<T, Problem>>>(&self, id: &str, mut work: impl FnMut() -> F) -> Result<T, Problem> {
        for attempt in 1.. {
            self.board.step(id, StepState::Running { percent: None, attempt }, "");
            match work().await {
                Ok(made) => {
                    let detail = self.board.subscribe().borrow().steps.iter().find(|s| s.id == id).map(|s| s.detail.clone());
                    self.board.step(id, StepState::Done, detail.unwrap_or_default());
                    return Ok(made);
                }
                Err(problem) => {
                    board::log_failure(id, &problem);
                    let hopeless = problem.code.starts_with("UNP-2");
                    self.board.step(id, StepState::Failed { problem: problem.clone() }, "");
                    if hopeless {
                        return Err(problem);
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        unreachable!("a step is tried until it succeeds")
    }

    fn running(&self, id: &str, percent: Option<u8>, detail: impl Into<String>) {
        let now = self.board.subscribe().borrow().steps.iter().find(|s| s.id == id).map(|s| s.state.clone());
        let attempt = if let Some(StepState::Running { attempt, .. }) = now { attempt } else { 1 };
        self.board.step(id, StepState::Running { percent, attempt }, detail);
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Node) -> Result<T, Problem> + Send + 'static) -> Result<T, Problem> {
        let node = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&node)).await;
        done.unwrap_or_else(|e| Err(Problem::new("PRE-109", "a step broke off", e.to_string(), "report this, with the log")))
    }

    async fn prepare(&self) -> Result<Prepared, Problem> {
        self.blocking(|node| {
            let s = &node.settings;
            check::clock(Utc::now(), survey::built()).passed()?;
            prepare::folders(s)?;
            // Before anything is unpacked: a disk that will not do is told of at once.
            luks::judge(&s.layout, s.encrypt.as_ref())?;
            if s.encrypt.is_none() {
                prepare::volumes(s).inspect_err(|_| node.storage.missed())?;
            }
            let ended = prepare::leftovers(&s.layout)?;
            let healed = heal::at_start(&s.layout)?;
            prepare::control_groups(s)?;
            prepare::kernel(s)?;
            prepare::old_network(&s.layout)?;
            prepare::old_ways(s)?;
            prepare::configuration(s)?;
            let ended = (ended > 0).then(|| format!("{ended} processes of an earlier run ended"));
            node.running("prepare", None, ended.into_iter().chain(healed).collect::<Vec<_>>().join("; "));
            Ok(Prepared)
        })
        .await
    }

    /// The encrypted disk, opened, with the volumes on it. Everything was sized by another disk until then: the process begins anew.
    async fn encrypted_volumes(&self, _: &Unpacked) -> Result<(), Problem> {
        self.blocking(|node| {
            let s = &node.settings;
            let wish = s.encrypt.as_ref().expect("a disk was named");
            if luks::ensure(&s.layout, wish).inspect_err(|_| node.storage.missed())? {
                node.storage.missed();
            }
            prepare::volumes(s)
        })
        .await
    }

    async fn unpack(&self, _: &Prepared) -> Result<Unpacked, Problem> {
        self.blocking(|node| {
            let data = &node.settings.layout.data;
            let percent = |done: u64, total: u64| Some((done * 100 / total.max(1)).min(100) as u8);
            node.payload.check_once(data, &|done, total| node.running("unpack", percent(done, total), "checking")).map_err(|e| e.problem())?;
            let space = |path: &std::path::Path| fs2::available_space(path);
            let mut progress = |done, total| node.running("unpack", percent(done, total), "unpacking");
            let unpacked = payload::unpack_kubernetes(&node.payload, data, &space, &mut progress).map_err(|e| e.problem())?;
            let models = payload::unpack_models(&node.payload, data, &space).map_err(|e| e.problem())?;
            node.payload.embedded.into_iter().for_each(memory::release);
            let mb = unpacked.written as f64 / 1e6;
            node.running("unpack", Some(100), if unpacked.written > 0 { format!("{mb:.0} MB, {} models", models.len()) } else { "was unpacked already".into() });
            Ok(Unpacked)
        })
        .await
    }

    async fn move_datastore(&self) -> Result<(), Problem> {
        self.running("kubernetes", None, "moving the cluster's objects from SQLite to etcd");
        let copied = self.blocking(|node| moving::copy(&node.settings)).await?;
        tracing::info!(objects = copied, "the cluster's objects lie in etcd now");
        Ok(())
    }

    async fn member_anew(&self, why: &str) -> Result<bool, Problem> {
        self.running("kubernetes", None, format!("etcd's member on this host is made anew: {why}"));
        member::make_anew(&self.settings, why).await
    }

    async fn keys(&self, unpacked: &Unpacked) -> Result<Keys, Problem> {
        let keys = match &self.settings.distribution {
            Distribution::K3s(_) => self.keys_of_k3s().await?,
            Distribution::Embedded if self.settings.place.control => self.own_keys(unpacked).await?,
            Distribution::Embedded => self.given_keys().await?,
        };
        self.hosts.begun.send_replace(hosts::keys::published(&self.settings.layout));
        Ok(keys)
    }

    /// Of a joined host: new ones are asked for where they are due, and the present ones serve as long as they hold.
    async fn given_keys(&self) -> Result<Keys, Problem> {
        let s = &self.settings;
        let renewed = if hosts::is_due(s, time::OffsetDateTime::now_utc()) { Some(hosts::renew(s, None).await) } else { None };
        let failed = |what: &dyn std::error::Error| Problem::new("KEY-102", what.to_string(), std::error::Error::source(what).map(|e| e.to_string()).unwrap_or_default(), "take this host off with `antihate reset` and join it again");
        joined::ensure(&s.layout.pki(), API_PORT).map_err(|e| failed(&e))?;
        self.running("keys", None, match renewed {
            Some(Ok(())) => "renewed".into(),
            Some(Err(problem)) => format!("could not be renewed yet: {}", problem.cause),
            None => "were given at the join".to_string(),
        });
        Ok(Keys { tls: Tls::later(Credentials::named(&s.layout.pki(), "host")) })
    }

    async fn own_keys(&self, _: &Unpacked) -> Result<Keys, Problem> {
        self.blocking(|node| {
            let s = &node.settings;
            let id = mesh_keys::id(&mesh::public_key(&s.layout.pki())?);
            let names = ClusterNames { node: s.node.clone(), node_ip: s.node_ip, service_ip: SERVICE_IP, api_port: API_PORT, id };
            let failed = |what: &dyn std::error::Error| {
                let cause = std::error::Error::source(what).map(|e| e.to_string()).unwrap_or_default();
                Problem::new("KEY-101", what.to_string(), cause, format!("see that {} is whole and writable", s.layout.pki().display()))
            };
            // Before a new key is made: killed between the two, the next start would not know that the old one was lost.
            let healed = if encryption::exists(&s.layout.pki()) { None } else { heal::without_old_secrets(&s.layout)? };
            let made = cluster::ensure(&s.layout.pki(), &names, time::OffsetDateTime::now_utc()).map_err(|e| failed(&e))?;
            node.running("keys", None, if let Some(healed) = healed { healed } else if made.is_empty() { "were there".into() } else { format!("{} made", made.len()) });
            Ok(Keys { tls: Tls::new(&s.layout.pki()).map_err(|e| failed(&e))? })
        })
        .await
    }

    /// k3s makes its own keys when it starts; what it is given before is a token.
    async fn keys_of_k3s(&self) -> Result<Keys, Problem> {
        self.blocking(|node| {
            let s = &node.settings;
            let made = k3s::prepare(&s.layout)?;
            node.running("keys", None, if made.is_empty() { "left to k3s; its token was there" } else { "left to k3s; a token made for it" });
            Ok(Keys { tls: Tls::later(s.distribution.credentials(&s.layout)) })
        })
        .await
    }

    async fn kubernetes(&self, keys: &Keys) -> Result<(), Problem> {
        let s = &self.settings;
        if self.running.lock().await.is_none() {
            // Before anything that could start a pod: what is not known is closed.
            self.blocking(|node| filter::base(&node.settings)).await?;
            let refused = member::refused(&s.layout).map(|p| format!("{p}: {}; it is tried as it is", p.cause));
            self.running("kubernetes", None, refused.unwrap_or_else(|| "starting the API server".into()));
            let mut begun = Running::start(s)?;
            if s.place.is_joined() && s.place.between == Between::Encrypted && mesh::needs_user_space().await {
                begun.also(s, mesh::component(s))?;
            }
            *self.running.lock().await = Some(begun);
        }
        self.wait_for(keys, s.distribution.api(), Duration::from_secs(120)).await.map_err(|silent| member::refused(&s.layout).unwrap_or(silent))?;
        self.running("kubernetes", None, "putting the network policies in force");
        self.policy.begin();
        self.policy.in_force(Duration::from_secs(60)).await?;
        if let Some(running) = self.running.lock().await.as_mut() {
            running.start_rest(s)?;
        }
        self.running("kubernetes", None, "waiting for the node to be Ready");
        for _ in 0..2400 {
            if kubernetes::node_ready(s, &keys.tls).await.unwrap_or(false) {
                let of = s.distribution.named().map(|name| format!(", {name}")).unwrap_or_default();
                self.running("kubernetes", None, format!("the node is Ready{of}"));
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Problem::new("KUB-203", "the node does not become Ready", "the kubelet does not report it", "read `antihate logs kubelet`"))
    }

    async fn wait_for(&self, keys: &Keys, name: &str, limit: Duration) -> Result<(), Problem> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let Err(last) = kubernetes::ask(&self.settings, &keys.tls, name).await else { return Ok(()) };
            if tokio::time::Instant::now() > deadline {
                let states = self.states().await;
                return Err(kubernetes::silent(&self.settings, name, &last, &states));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) async fn states(&self) -> Vec<(&'static str, crate::process::supervisor::State)> {
        self.running.lock().await.as_ref().map(Running::states).unwrap_or_default()
    }

    async fn images(&self, keys: &Keys) -> Result<(), Problem> {
        self.wait_for(keys, "containerd", Duration::from_secs(60)).await?;
        self.blocking(|node| {
            let imported = images::import(&node.settings, &node.payload, &mut |done| node.running("images", None, format!("{} MB sent", done / 1_000_000)))?;
            node.running("images", None, if imported.is_empty() { "were imported already".into() } else { format!("{} imported", imported.len()) });
            Ok(())
        })
        .await
    }

    /// What is heard of the children that run now.
    pub(super) async fn children_news(&self) -> Vec<News> {
        self.running.lock().await.as_ref().map(Running::news).unwrap_or_default()
    }
}
