//! The loop of the node's half: one step, one wait, for as long as the host process lives.

use super::identity::{Folder, Identity};
use super::plan::{self, Act};
use super::{Error, Options, exchange};
use crate::enroll::protocol::Report;
use crate::enroll::refusal::Refusal;
use crate::enroll::token::Token;
use crate::status::{Problem, Upstream};
use chrono::{DateTime, Utc};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// How often the folder is looked at for what another process wrote.
const LOOK: Duration = Duration::from_secs(1);

/// Gives the node's report whenever a heartbeat is due.
pub type Reporter = Arc<dyn Fn() -> Report + Send + Sync>;

/// The node's half at work.
pub struct Edge {
    folder: Folder,
    options: Options,
    report: Reporter,
    status: watch::Sender<Upstream>,
    wake: Arc<Notify>,
    failures: u32,
    last_seen: Option<DateTime<Utc>>,
    refused: Option<Problem>,
    /// How many attempts to join were made, and how the last one ended.
    attempts: watch::Sender<(u64, Option<Problem>)>,
}

/// What host and page hold of it.
#[derive(Clone)]
pub struct Handle {
    folder: Folder,
    options: Options,
    wake: Arc<Notify>,
    status: watch::Receiver<Upstream>,
    attempts: watch::Receiver<(u64, Option<Problem>)>,
}

impl Handle {
    /// The link upstream, as it changes.
    pub fn status(&self) -> watch::Receiver<Upstream> {
        self.status.clone()
    }

    /// Reads a token as typed, without any network.
    pub fn decode(&self, typed: &str) -> Result<Token, Problem> {
        let token = Token::parse(typed).map_err(|e| e.problem())?;
        token.check_geography(self.options.geography.as_deref()).map_err(|e| e.problem())?;
        Ok(token)
    }

    /// Like [`Handle::enroll`], and waits for the first answer of the hub. A problem that may pass, such as a lost
    /// link or a pending approval, is returned as well; the node keeps trying by itself.
    pub async fn enroll_and_wait(&self, typed: &str) -> Result<(), Problem> {
        let mut attempts = self.attempts.clone();
        attempts.mark_unchanged();
        let token = self.decode(typed)?;
        if self.folder.identity().map_err(|e| e.problem())?.is_some_and(|i| i.token == token.id && i.confirmed && i.ended.is_none()) {
            return Ok(());
        }
        self.enroll(typed)?;
        let ended = |_| Problem::new("ENR-125", "The node is shutting down", "Its process was asked to stop.", "Start it again; the token is kept.");
        attempts.changed().await.map_err(ended)?;
        let problem = attempts.borrow().1.clone();
        problem.map_or(Ok(()), Err)
    }

    /// Takes a token as typed: it is checked without network, kept, and tried until it is used or refused.
    pub fn enroll(&self, typed: &str) -> Result<(), Problem> {
        let token = self.decode(typed)?;
        let held = self.folder.identity().map_err(|e| e.problem())?.filter(|i| i.ended.is_none() && i.token != token.id);
        if let Some(held) = held {
            return Err(Error::Already { node: held.node, geography: held.geography }.problem());
        }
        self.folder.set_pending(&token).map_err(|e| e.problem())?;
        self.wake.notify_one();
        Ok(())
    }
}

impl Edge {
    /// The half of the node whose data root is `data`, and the handle to it.
    pub fn new(data: &Path, options: Options, report: Reporter) -> (Edge, Handle) {
        let folder = Folder::of(data);
        let (status, seen) = watch::channel(Upstream::Unclaimed);
        let wake = Arc::new(Notify::new());
        let (attempts, answered) = watch::channel((0, None));
        let handle = Handle { folder: folder.clone(), options: options.clone(), wake: wake.clone(), status: seen, attempts: answered };
        (Edge { folder, options, report, status, wake, failures: 0, last_seen: None, refused: None, attempts }, handle)
    }

    /// Works until `stop`; a failure is shown in the status and tried again, never returned.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), String> {
        loop {
            let stamp = self.folder.stamp();
            let wait = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                wait = self.step() => wait,
            };
            let until = tokio::time::Instant::now() + wait;
            // What was written since the step read is news; its own writes cost one step more.
            while tokio::time::Instant::now() < until && self.folder.stamp() == stamp {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = self.wake.notified() => break,
                    () = tokio::time::sleep_until(until.min(tokio::time::Instant::now() + LOOK)) => {}
                }
            }
        }
    }

    /// Does what is due and says how long nothing will be.
    async fn step(&mut self) -> Duration {
        match self.folder.pending() {
            Ok(Some(token)) => self.join(token).await,
            Ok(None) => match self.folder.identity() {
                Ok(Some(identity)) => self.live(identity).await,
                Ok(None) => self.idle(),
                Err(e) => self.failed(e, None, plan::LONGEST),
            },
            Err(e) => self.failed(e, None, plan::LONGEST),
        }
    }

    /// Neither identity nor token: waits for one, and shows why the last one was refused.
    fn idle(&mut self) -> Duration {
        self.show(match &self.refused {
            Some(problem) => Upstream::Failed { problem: problem.clone() },
            None => Upstream::Unclaimed,
        });
        plan::LONGEST
    }

    async fn join(&mut self, token: Token) -> Duration {
        if self.failures == 0 {
            self.show(Upstream::Enrolling { detail: format!("asking {} for admission to {}", token.hub(), token.geography) });
        }
        let joined = exchange::join(&self.folder, &token, &self.options, false).await;
        let problem = joined.as_ref().err().map(Error::problem);
        let wait = self.joined(joined);
        self.attempts.send_modify(|a| *a = (a.0 + 1, problem));
        wait
    }

    /// Takes the outcome of an attempt to join.
    fn joined(&mut self, joined: Result<Identity, Error>) -> Duration {
        match joined {
            Ok(identity) => {
                tracing::info!(node = identity.node, geography = identity.geography, hub = identity.hub(), "enrolled");
                if let Err(e) = self.folder.clear_pending() {
                    return self.failed(e, None, plan::LONGEST);
                }
                self.reached(&identity);
                Duration::ZERO
            }
            Err(e) => {
                if !e.passes() {
                    self.refused = Some(e.problem());
                    self.folder.clear_pending().ok(); // if it stays, it is refused once more
                }
                // A person waits in front of the page: an approval is seen within seconds.
                let longest = if matches!(e, Error::Refused(Refusal::Waiting { .. })) { Duration::from_secs(5) } else { plan::LONGEST };
                self.failed(e, None, longest)
            }
        }
    }

    async fn live(&mut self, identity: Identity) -> Duration {
        let act = plan::next(&identity, self.options.now() - identity.skew_s);
        if self.failures == 0 && self.last_seen.is_none() && act != Act::Rest {
            self.show(enrolled(&identity, false, None));
        }
        let done = match act {
            Act::Rest => {
                let problem = identity.ended.as_ref().map(Refusal::problem);
                self.refused = problem;
                return self.idle();
            }
            Act::Heartbeat => self.beat(&identity).await,
            Act::Confirm => self.locked(&identity, false).await,
            Act::Renew => self.locked(&identity, true).await,
        };
        let longest = if act == Act::Heartbeat { plan::LONGEST_HEARTBEAT } else { plan::LONGEST };
        match done {
            Ok(wait) => wait,
            Err(Error::Refused(refusal)) if final_word(&refusal) => self.end(&identity, refusal),
            Err(e) => self.failed(e, Some(&identity), longest),
        }
    }

    /// One heartbeat; an answer "outdated" leads to a renewal, by which the hub finds out about copies.
    async fn beat(&mut self, identity: &Identity) -> Result<Duration, Error> {
        match exchange::heartbeat(&self.folder, identity, &self.options, (self.report)()).await {
            Ok(accepted) => {
                let skew = self.options.now() - accepted.server_time.timestamp();
                if (skew - identity.skew_s).abs() > 5 {
                    self.folder.change(identity, |i| i.skew_s = skew)?;
                }
                self.reached(identity);
                let due = (identity.renew_at - accepted.server_time.timestamp()).max(1);
                Ok(Duration::from_secs(accepted.heartbeat_s.clamp(1, 3_600).min(due.unsigned_abs())))
            }
            Err(Error::Refused(Refusal::Policy { .. })) => self.locked(identity, true).await,
            Err(e) => Err(e),
        }
    }

    /// Renews if asked to, then confirms, under the lock and only if the identity is still the one that was read.
    async fn locked(&mut self, read: &Identity, renew: bool) -> Result<Duration, Error> {
        let _lock = self.folder.lock()?;
        if self.folder.identity()?.as_ref() != Some(read) {
            return Ok(Duration::ZERO);
        }
        let held = if renew { exchange::renew(&self.folder, read, &self.options).await? } else { read.clone() };
        let identity = match exchange::confirm(&self.folder, held.clone(), &self.options).await {
            // Somebody else was given a later generation: the renewal decides who is the copy.
            Err(Error::Refused(Refusal::Policy { .. })) if !renew => {
                let next = exchange::renew(&self.folder, &held, &self.options).await?;
                exchange::confirm(&self.folder, next, &self.options).await?
            }
            other => other?,
        };
        tracing::info!(node = identity.node, generation = identity.generation, "identity confirmed");
        self.reached(&identity);
        Ok(Duration::ZERO)
    }

    /// The hub said no for good: nothing is sent any more, and a restart does not forget it.
    fn end(&mut self, identity: &Identity, refusal: Refusal) -> Duration {
        let problem = refusal.problem();
        tracing::error!(node = identity.node, code = problem.code, "{}", problem.what);
        self.last_seen = None;
        match self.folder.change(identity, |i| i.ended = Some(refusal)) {
            Ok(_) => Duration::ZERO,
            Err(e) => self.failed(e, None, plan::LONGEST_HEARTBEAT),
        }
    }

    fn reached(&mut self, identity: &Identity) {
        if self.failures > 0 {
            tracing::info!(hub = identity.hub(), "the hub is reached again");
        }
        (self.failures, self.refused, self.last_seen) = (0, None, Some(Utc::now()));
        self.show(enrolled(identity, true, self.last_seen));
    }

    /// Shows a failure, the first of a row in the log too, and gives the wait.
    fn failed(&mut self, e: Error, identity: Option<&Identity>, longest: Duration) -> Duration {
        let problem = e.problem();
        if self.failures == 0 {
            tracing::warn!(code = problem.code, cause = problem.cause, "{}", problem.what);
        }
        self.show(match (&e, identity) {
            (Error::Refused(Refusal::Waiting { .. }), None) => Upstream::Enrolling { detail: problem.what },
            (Error::Refused(Refusal::Unreachable { .. } | Refusal::Busy { .. } | Refusal::SlowDown { .. }), Some(i)) => enrolled(i, false, self.last_seen),
            (Error::Refused(Refusal::Unreachable { .. } | Refusal::Busy { .. } | Refusal::SlowDown { .. }), None) => {
                Upstream::Enrolling { detail: format!("{}; trying again", problem.what) }
            }
            _ => Upstream::Failed { problem },
        });
        let wait = plan::back_off(self.failures, longest, rand::random());
        self.failures = self.failures.saturating_add(1);
        match e {
            Error::Refused(Refusal::SlowDown { retry_after_s }) => wait.max(Duration::from_secs(retry_after_s.min(900))),
            _ => wait,
        }
    }

    fn show(&self, upstream: Upstream) {
        self.status.send_if_modified(|now| std::mem::replace(now, upstream.clone()) != upstream);
    }
}

/// Refusals of an enrolled node after which nothing is tried any more.
fn final_word(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Revoked { .. } | Refusal::Locked { .. } | Refusal::Rejected { .. })
}

fn enrolled(i: &Identity, connected: bool, last_seen: Option<DateTime<Utc>>) -> Upstream {
    Upstream::Enrolled {
        node: i.node.clone(),
        geography: i.geography.clone(),
        hub: i.hub(),
        connected,
        last_seen,
        certificate_ends: DateTime::from_timestamp(i.not_after, 0).unwrap_or_default(),
    }
}
