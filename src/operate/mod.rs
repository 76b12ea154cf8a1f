//! Role: keeps the applied stack as wanted.
//!
//! Its life: make the credentials once, then for ever: apply what the settings ask for (server-side, in order, with an
//! inventory), prune what is no longer wanted, hear of the workloads, and look for the probe post in the database.
//! Applying again every half minute heals drift. It never fails and never ends by itself: what goes wrong stands
//! in the report, with since-when, and is tried again.

mod apply;
mod credentials;
mod database;
mod health;
#[cfg(test)]
mod health_tests;
#[cfg(test)]
mod server_tests;

pub use credentials::credentials;
pub use database::store;
pub use health::Report;

use crate::cluster::{Cluster, WorkloadSource};
use crate::config::Resolved;
use crate::config::layout::Layout;
use crate::manifests::{self, Group};
use crate::status::Problem;
use crate::store::{Postgres, Store};
use chrono::Utc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Between two applies of an unchanged wish: how long drift may last.
const HEAL: Duration = Duration::from_secs(30);
/// At every so manieth apply everything is written, whatever is known of it.
const FORGET: u32 = 20;
/// Between two looks while something is not ready.
const LOOK_SOON: Duration = Duration::from_secs(1);
/// Between two looks at a healthy node.
const LOOK: Duration = Duration::from_secs(5);
/// What is heard of workloads within this is looked at together.
const GATHER: Duration = Duration::from_millis(250);
/// Before the next try of a failed apply.
const RETRY: Duration = Duration::from_secs(2);
/// The database answers within this or counts as silent.
const ANSWER: Duration = Duration::from_secs(5);

/// What the reconciler works with.
pub struct Context {
    /// Credentials for the API server, with the right to everything.
    pub kubeconfig: std::path::PathBuf,
    /// Where the node's files lie.
    pub layout: Layout,
    /// What is wanted; a change is applied at once.
    pub settings: watch::Receiver<Resolved>,
    /// Where it says how things stand.
    pub report: watch::Sender<Report>,
    /// Ends it.
    pub stop: CancellationToken,
}

/// Keeps the stack as wanted until `stop`.
pub async fn run(mut context: Context) {
    let stop = context.stop.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        () = keep(&mut context) => {}
    }
}

/// What is carried from one round to the next.
struct State {
    cluster: Cluster,
    source: WorkloadSource,
    store: Option<Postgres>,
    groups: Vec<Group>,
    known: apply::Known,
    rounds: u32,
    apply_at: Instant,
    attempt: u32,
    applied: bool,
}

/// Connects, then works beside the watches, which never end.
async fn keep(context: &mut Context) {
    let cluster = connect(context).await;
    let (source, driver) = cluster.watch_workloads();
    let mut state = State { cluster, source, store: None, groups: Vec::new(), known: apply::Known::default(), rounds: 0, apply_at: Instant::now(), attempt: 0, applied: false };
    tokio::select! {
        () = driver => {}
        () = rounds(context, &mut state) => {}
    }
}

/// Reads the credentials until they can be read.
async fn connect(context: &Context) -> Cluster {
    loop {
        match Cluster::connect(&context.kubeconfig).await {
            Ok(cluster) => return cluster,
            Err(e) => context.report.send_modify(|r| r.apply_failed(e.problem(), Utc::now())),
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn rounds(context: &mut Context, state: &mut State) {
    loop {
        if context.settings.has_changed().unwrap_or(false) || Instant::now() >= state.apply_at {
            apply_round(context, state).await;
        }
        let healthy = look_round(context, state).await;
        let until = Instant::now() + if healthy { LOOK } else { LOOK_SOON };
        tokio::select! {
            () = tokio::time::sleep_until(until.min(state.apply_at.max(Instant::now()))) => {}
            // The watches' driver never ends: there is no error.
            _ = state.source.heard().changed() => tokio::time::sleep(GATHER).await,
            Ok(()) = context.settings.changed() => state.apply_at = Instant::now(),
        }
    }
}

/// One apply of everything; its outcome stands in the report.
async fn apply_round(context: &mut Context, state: &mut State) {
    let resolved = context.settings.borrow_and_update().clone();
    state.attempt += 1;
    let attempt = state.attempt;
    let report = context.report.clone();
    let progress = |detail: String| report.send_modify(|r| r.applying(attempt, detail, Utc::now()));
    match try_apply(context, state, &resolved, &progress).await {
        Ok(summary) => {
            state.attempt = 0;
            state.applied = true;
            state.apply_at = Instant::now() + HEAL;
            if !summary.is_empty() {
                tracing::info!(%summary, "the stack was applied");
            }
            report.send_modify(|r| r.applied(summary, Utc::now()));
        }
        Err(problem) => {
            state.apply_at = Instant::now() + RETRY;
            tracing::warn!(problem = %problem.render(), "the stack could not be applied");
            report.send_modify(|r| r.apply_failed(problem, Utc::now()));
        }
    }
}

async fn try_apply(context: &Context, state: &mut State, resolved: &Resolved, progress: &(dyn Fn(String) + Sync)) -> Result<String, Problem> {
    let credentials = credentials(&context.layout)?;
    state.groups = manifests::render(resolved, &credentials);
    state.rounds = (state.rounds + 1) % FORGET;
    if state.rounds == 0 {
        state.known = apply::Known::default();
    }
    let done = apply::everything(&state.cluster, &state.groups, &mut state.known, progress).await.map_err(|e| e.problem())?;
    Ok(done.summary())
}

/// Looks at workloads and database; returns whether the node is healthy.
async fn look_round(context: &Context, state: &mut State) -> bool {
    if let Err(why) = heard(state).await {
        context.report.send_modify(|r| r.blind(why, Utc::now()));
        return false;
    }
    let found = state.source.workloads(&health::namespaces(&state.groups));
    let components = health::components(&state.groups, &found, Utc::now());
    let all_ready = state.applied && components.iter().all(|c| c.healthy);
    context.report.send_modify(|r| r.components(components, all_ready, Utc::now()));
    let seen = look_at_database(context, state).await;
    let mut healthy = false;
    context.report.send_modify(|r| {
        r.database(seen, Utc::now());
        healthy = r.healthy && all_ready;
    });
    healthy
}

/// Why the workloads are not known as they are now.
async fn heard(state: &mut State) -> Result<(), String> {
    // A watch can be silent for long: only an answer tells that the API server is there.
    state.cluster.answers().await.map_err(|e| e.problem().what)?;
    tokio::time::timeout(ANSWER, state.source.ready()).await.map_err(|_| "the API server does not tell of workloads yet".to_string())?;
    let heard = state.source.heard().borrow_and_update();
    heard.deaf().map_or(Ok(()), |why| Err(format!("the API server does not tell of workloads: {why}")))
}

async fn look_at_database(context: &Context, state: &mut State) -> Result<health::Seen, String> {
    if state.store.is_none() {
        state.store = Some(store(&state.cluster, &context.layout).await.map_err(|p| p.what)?);
    }
    let store = state.store.as_ref().expect("just made");
    let ask = async {
        let pipeline = store.pipeline().await.map_err(|e| e.to_string())?;
        let probe = store.last_probe().await.map_err(|e| e.to_string())?;
        Ok(health::Seen { pipeline, probe_stored_at: probe.map(|p| p.stored_at) })
    };
    let seen = tokio::time::timeout(ANSWER, ask).await.unwrap_or_else(|_| Err("the database does not answer".into()));
    if seen.is_err() {
        // Another pod may have taken its place, with another address.
        state.store = None;
    }
    seen
}
