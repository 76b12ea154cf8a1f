//! The loop: something changed, the rules are decided anew, and written if they differ.
//!
//! A pod of this node is let in only after the API server was asked whether a policy exists that the watches have not told
//! of yet: a policy that was made before a pod holds from the pod's first packet on.

use super::claims::{RESULTS, Results};
use super::{Enforcer, filter, ranges, ways};
use crate::cluster::{Cluster, PolicySource};
use crate::config::place::Host;
use crate::host::settings::Settings;
use crate::policy::{self, Claims, Pod, RuleSet, Ways, World};
use crate::status::Problem;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Between two looks for addresses that were given, where the kernel tells of them, and where it does not.
const LOOK: Duration = Duration::from_secs(5);
const LOOK_SOON: Duration = Duration::from_millis(100);
/// Changes within this are taken together.
const GATHER: Duration = Duration::from_millis(20);
/// The same rules are written again after this: whatever touched them is undone.
const HEAL: Duration = Duration::from_secs(30);
/// Before the next try after a failure, and the next question whether the watches have caught up.
const RETRY: Duration = Duration::from_secs(1);
const BEHIND: Duration = Duration::from_millis(50);

struct Rounds<'a> {
    enforcer: &'a Enforcer,
    settings: &'a Arc<Settings>,
    source: PolicySource,
    results: Results,
    /// Pods of this node that were let in, by uid.
    admitted: BTreeSet<String>,
    written: Option<(RuleSet, Ways, Instant)>,
    hosts: watch::Receiver<Vec<Host>>,
    failures: u64,
}

/// Keeps the rules; returns only when the watches ended, which they never should.
pub(super) async fn keep(enforcer: &Enforcer, settings: &Arc<Settings>, cluster: &Cluster) -> Problem {
    let (source, driver) = cluster.watch_policies();
    let results = Results::new(Path::new(RESULTS));
    let mut rounds = Rounds { enforcer, settings, source, results, admitted: BTreeSet::new(), written: None, hosts: enforcer.hosts.clone(), failures: 0 };
    tokio::select! {
        () = driver => Problem::new("NPL-105", "the watches of the network policies ended", "they never should", "report this, with the log"),
        never = rounds.run() => match never {},
    }
}

impl Rounds<'_> {
    async fn run(&mut self) -> std::convert::Infallible {
        loop {
            tokio::select! {
                () = self.source.ready() => break,
                () = tokio::time::sleep(RETRY) => self.mourn_watches(),
            }
        }
        self.results.look();
        loop {
            let wait = match self.round().await {
                Ok(wait) => wait,
                Err(problem) => {
                    self.enforcer.trouble(self.settings, problem);
                    RETRY
                }
            };
            self.wait(wait).await;
        }
    }

    /// While nothing was heard yet, a watch that fails is the reason.
    fn mourn_watches(&mut self) {
        let heard = self.source.heard().borrow().clone();
        if heard.failures > self.failures {
            self.failures = heard.failures;
            self.enforcer.trouble(self.settings, silent(heard.trouble));
        }
    }

    /// Waits for a change, at most `limit`.
    async fn wait(&mut self, limit: Duration) {
        let until = Instant::now() + limit;
        loop {
            let look = if self.results.is_heard() { LOOK } else { LOOK_SOON };
            tokio::select! {
                _ = self.source.heard().changed() => break,
                Ok(()) = self.hosts.changed() => break,
                () = self.results.changed() => if self.results.look() { break },
                () = tokio::time::sleep(look.min(limit)) => if self.results.look() || Instant::now() >= until { break },
            }
        }
        tokio::time::sleep(GATHER.min(limit)).await;
    }

    /// Decides and writes; returns how long to wait for a change before the next round.
    async fn round(&mut self) -> Result<Duration, Problem> {
        let failures = self.source.heard().borrow_and_update().failures;
        let uids: BTreeSet<String> = self.source.pods().iter().filter_map(|p| p.metadata.uid.clone()).collect();
        self.results.keep(|uid| uids.contains(uid));
        let claims = self.results.claims();
        let before = self.world(&claims);
        let new: Vec<String> = before.pods.iter().filter(|p| p.local && !self.admitted.contains(&p.uid)).map(|p| p.uid.clone()).collect();
        let mut current = true;
        if !new.is_empty() || failures > self.failures {
            current = self.source.is_current().await.map_err(|e| silent(e.problem().cause))?;
            self.failures = failures;
        }
        if current {
            self.admitted.extend(new);
        }
        let mut world = self.world(&claims);
        self.admitted.retain(|uid| world.pods.iter().any(|p| p.uid == *uid));
        world.pods.retain(|p| !p.local || self.admitted.contains(&p.uid));
        self.write(&world).await?;
        Ok(if current { HEAL } else { BEHIND })
    }

    fn world(&self, claims: &Claims) -> World {
        let (pods, namespaces, policies) = (self.source.pods(), self.source.namespaces(), self.source.policies());
        let node = &self.settings.node;
        policy::world(node, pods.iter().map(Arc::as_ref), namespaces.iter().map(Arc::as_ref), policies.iter().map(Arc::as_ref), claims)
    }

    async fn write(&mut self, world: &World) -> Result<(), Problem> {
        let rules = policy::decide(world, &ranges(self.settings));
        let local: Vec<&Pod> = world.pods.iter().filter(|p| p.local).collect();
        let detail = format!("{} pods, {} policies", local.len(), world.policies.len());
        let ways = ways(self.settings, &self.hosts.borrow_and_update().clone());
        let same = self.written.as_ref().is_some_and(|(written, then, at)| *written == rules && *then == ways && at.elapsed() < HEAL);
        if !same {
            let (settings, given, by) = (self.settings.clone(), rules.clone(), ways.clone());
            let news = self.written.as_ref().is_none_or(|(written, ..)| *written != rules);
            let line = format!("{detail}, {} groups", rules.groups.len());
            let work = move || filter::apply(&settings, &given, &by).inspect(|()| if news { filter::note(&settings, &line) });
            let done = tokio::task::spawn_blocking(work).await;
            done.unwrap_or_else(|e| Err(Problem::new("NPL-105", "writing the rules broke off", e.to_string(), "report this, with the log")))?;
            self.written = Some((rules, ways, Instant::now()));
        }
        self.enforcer.well(detail);
        Ok(())
    }
}

fn silent(cause: String) -> Problem {
    Problem::new("NPL-102", "the API server does not tell of pods and policies; the last rules hold", cause, "see the component kube-apiserver; it is asked again by itself")
}
