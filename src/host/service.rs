//! The host process as a whole: page, enrollment and status from the first second, the node beside them, the stack on top.
//!
//! Page and enrollment never wait for the node: a box whose Kubernetes is broken is the one its owner wants to reach.

use super::announce;
use super::board::{self, Board};
use super::gpu::Gpus;
use super::provider::{HostProvider, Looked};
use super::distribution::Distribution;
use super::hosts::{HostKeeper, balance};
use super::settings::{API_PORT, SERVICE_IP, Settings};
use super::up::Node;
use super::wish;
use crate::config::{Resolved, Volumes};
use crate::enroll::edge::{Edge, Handle, Options as EdgeOptions};
use crate::enroll::protocol::Report as UpstreamReport;
use crate::join::{self, door::Door};
use crate::operate;
use crate::payload::Payload;
use crate::setup::{Invitation, Options as PageOptions, Page};
use crate::status::{NodeStatus, Problem};
use crate::task::Tasks;
use chrono::Utc;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Time for page, enrollment and reconciler to end after they were asked to.
const DRAIN: Duration = Duration::from_secs(5);

/// What the host process is made of.
pub struct Service {
    /// The node.
    pub settings: Settings,
    /// What is to run on it.
    pub wanted: Resolved,
    /// The command line asks for the sample site, whatever the settings say.
    pub sample: bool,
    /// Where the page listens.
    pub page: SocketAddr,
    /// Everything carried or given.
    pub payload: Payload,
    /// The GPUs of this host.
    pub gpus: Gpus,
    /// Where its state is published.
    pub board: Board,
    /// Ends it.
    pub stop: CancellationToken,
}

impl Service {
    /// Runs until stop is asked for or something ends that should not. `invite` hears where the page is.
    /// Returns whether the program is to start again, because a damaged part of the node is to be made anew.
    pub async fn run(self, invite: impl FnOnce(Invitation)) -> Result<bool, Problem> {
        let (board, stop) = (self.board.clone(), self.stop.clone());
        let mut beside = Tasks::new(CancellationToken::new());
        let status_file = self.settings.layout.status();
        let seen = board.subscribe();
        beside.start("status-file", async move { Ok(board::keep_file(seen, status_file).await) });
        let upstream = self.start_enrollment(&mut beside);
        self.start_page(&mut beside, upstream, invite)?;
        let layout = self.settings.layout.clone();
        let kubernetes = self.payload.kubernetes_version().unwrap_or_default();
        let node = Node::new(self.settings, self.payload, board.clone(), self.gpus, stop.clone());
        let (policy, settings, until) = (node.policy.clone(), node.settings.clone(), beside.stop());
        beside.start("network-policy", async move {
            tokio::select! { () = policy.run(settings) => {}, () = until.cancelled() => {} }
            Ok(())
        });
        start_hosts(&mut beside, &node, kubernetes).await?;
        start_devices(&mut beside, &node, self.wanted.sizes.volumes);
        let operating = start_operating(&mut beside, &node, self.wanted, self.sample);
        let result = tokio::select! {
            result = node.run() => result,
            ended = beside.join_any() => {
                stop.cancel();
                let why = ended.err().map(|e| e.to_string()).unwrap_or_default();
                node.run().await.and(Err(Problem::new("HST-101", "a part of the host process ended", why, "start it again; report this, with the log")))
            }
        };
        operating.cancel();
        let late = beside.shutdown(DRAIN).await;
        if late > 1 {
            // The status file's task has no end of its own and is always aborted.
            tracing::warn!(late, "parts of the host process did not end in time");
        }
        drop(std::fs::remove_file(layout.status()));
        result.map(|()| node.again.is_cancelled())
    }

    /// Starts the node's half of the enrollment and what carries its state to the board.
    fn start_enrollment(&self, beside: &mut Tasks) -> Handle {
        let geography = self.wanted.settings.node.geography.clone();
        let options = EdgeOptions { geography, ..EdgeOptions::default() };
        let told = self.board.subscribe();
        let report = Arc::new(move || heartbeat(&told.borrow()));
        let (edge, handle) = Edge::new(&self.settings.layout.data, options, report);
        let stop = beside.stop();
        beside.start("enrollment", edge.run(stop));
        let (mut seen, board, until) = (handle.status(), self.board.clone(), beside.stop());
        beside.start("upstream", async move {
            loop {
                let now = seen.borrow_and_update().clone();
                board.change(|status| status.upstream = now);
                if seen.changed().await.is_err() {
                    break;
                }
            }
            until.cancelled().await;
            Ok(())
        });
        handle
    }

    fn start_page(&self, beside: &mut Tasks, upstream: Handle, invite: impl FnOnce(Invitation)) -> Result<(), Problem> {
        let layout = &self.settings.layout;
        let name = announce::start(beside, layout, &self.wanted, self.page);
        let options = PageOptions { bind: self.page, data: layout.data.clone(), run: layout.run.clone(), node: self.settings.node.clone(), name };
        let looked = Looked { driver_root: self.gpus.root().to_path_buf(), address: self.settings.node_ip_given, page: self.page.port() };
        let provider = HostProvider::new(layout.clone(), self.board.clone(), upstream, looked);
        let page = Page::open(options, Arc::new(provider))?;
        invite(page.invitation());
        announce::follow(beside, page.watch_told(), self.board.clone());
        let page_stop = beside.stop();
        beside.start("page", async move { page.serve(page_stop).await.map_err(|p| p.to_string()) });
        Ok(())
    }
}

/// Starts what looks after the other hosts, and the door or the way that this host's place asks for.
async fn start_hosts(beside: &mut Tasks, node: &Node, kubernetes: String) -> Result<(), Problem> {
    if node.settings.distribution != Distribution::Embedded {
        return Ok(());
    }
    let (settings, hosts, until) = (node.settings.clone(), node.hosts.clone(), beside.stop());
    // A control plane has nobody to ask before its own API server runs; any other host asks those there are, once it has its keys.
    let begin = if settings.place.control { node.ready.clone() } else { node.keyed.clone() };
    beside.start("hosts", async move {
        let work = async {
            begin.cancelled().await;
            hosts.run(settings).await;
        };
        tokio::select! { () = work => {}, () = until.cancelled() => {} }
        Ok(())
    });
    let s = &node.settings;
    let bind = |what: &'static str, address: SocketAddr| async move {
        tokio::net::TcpListener::bind(address).await.map_err(|e| Problem::new("HST-104", format!("{what} cannot listen at {address}"), e.to_string(), "end the program that uses this port, then start again"))
    };
    let until = beside.stop();
    if !s.place.control {
        let listener = bind("the way to the API servers", ([127, 0, 0, 1], API_PORT).into()).await?;
        let targets = node.hosts.targets.subscribe();
        beside.start("api-way", async move {
            tokio::select! { () = balance::serve(listener, targets) => {}, () = until.cancelled() => {} }
            Ok(())
        });
        return Ok(());
    }
    let listener = bind("the door for joining hosts", ([0, 0, 0, 0], join::PORT).into()).await?;
    let keeper = Arc::new(HostKeeper { settings: s.clone(), hosts: node.hosts.clone() });
    let door = Door { pki: s.layout.pki(), kubeconfig: s.layout.admin_kubeconfig(), api: (SERVICE_IP, API_PORT), kubernetes, between: s.place.between, stack: s.place.stack, keeper };
    beside.start("join-door", async move {
        tokio::select! { () = door.serve(listener) => {}, () = until.cancelled() => {} }
        Ok(())
    });
    Ok(())
}

/// Starts what looks after GPUs and volumes; both end by being dropped.
fn start_devices(beside: &mut Tasks, node: &Node, volumes: Volumes) {
    let (gpus, settings, ready, until) = (node.gpus.clone(), node.settings.clone(), node.ready.clone(), beside.stop());
    beside.start("gpu", async move {
        tokio::select! { () = gpus.run(settings, ready) => {}, () = until.cancelled() => {} }
        Ok(())
    });
    let (storage, settings, ready, until) = (node.storage.clone(), node.settings.clone(), node.ready.clone(), beside.stop());
    beside.start("storage", async move {
        tokio::select! { () = storage.run(settings, volumes, ready) => {}, () = until.cancelled() => {} }
        Ok(())
    });
}

/// Starts the reconciler, which begins when the node is ready, and what carries its report to the board.
/// The token that is returned ends the reconciler; it ends by itself when the node stops.
fn start_operating(beside: &mut Tasks, node: &Node, wanted: Resolved, sample: bool) -> CancellationToken {
    let stop = node.stop.child_token();
    let (report, mut told) = watch::channel(operate::Report::new(Utc::now()));
    let (settings, wanted) = watch::channel(wanted);
    let layout = node.settings.layout.clone();
    let following = wish::follow(layout.data.join("settings.toml"), settings, sample);
    let context = operate::Context { kubeconfig: layout.admin_kubeconfig(), layout, settings: wanted, report, stop: stop.clone() };
    let (ready, until) = (node.ready.clone(), beside.stop());
    let home = node.settings.place.is_home();
    beside.start("reconciler", async move {
        if !home {
            until.cancelled().await;
            return Ok(());
        }
        let stopped = context.stop.clone();
        let operating = async {
            tokio::select! {
                () = ready.cancelled() => operate::run(context).await,
                () = stopped.cancelled() => {}
            }
        };
        tokio::select! { () = operating => {}, () = following => {} }
        until.cancelled().await;
        Ok(())
    });
    let (board, until) = (node.board.clone(), beside.stop());
    beside.start("report", async move {
        while told.changed().await.is_ok() {
            let now = told.borrow_and_update().clone();
            board.change(|status| adopt(status, now));
        }
        until.cancelled().await;
        Ok(())
    });
    stop
}

/// Puts what the reconciler says into the status.
fn adopt(status: &mut NodeStatus, report: operate::Report) {
    for step in [report.apply, report.probe] {
        if let Some(place) = status.steps.iter_mut().find(|s| s.id == step.id) {
            *place = step;
        }
    }
    status.components.retain(|c| c.place == "host");
    status.components.extend(report.components);
    (status.pipeline, status.healthy) = (report.pipeline, report.healthy);
}

/// What the hub hears of this node: health and counters, no post.
fn heartbeat(status: &NodeStatus) -> UpstreamReport {
    UpstreamReport {
        version: status.version.clone(),
        healthy: status.healthy,
        summary: status.summary.clone(),
        pipeline: status.pipeline.clone(),
    }
}
