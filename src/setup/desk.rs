//! What all routes share: the node behind the page, PIN, users and sessions, templates, audit; and how each is asked.

use super::audit::{Action, Audit, Deed};
use super::door::Door;
use super::pin::{PinLock, Verdict};
use super::render::Pages;
use super::session::{Id, Session, Sessions, Who};
use super::view;
use super::wizard;
use super::{Provider, pin_file};
use crate::config::{self, Settings, Valid};
use crate::domain::{Analysis, PostRef, Right, Role};
use crate::status::{PageAt, Problem};
use crate::status::check::Check;
use crate::web::guard::network;
use axum::http::{HeaderMap, header};
use chrono::Utc;
use minijinja::{Value, context};
use serde::Serialize;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// No page waits longer for posts or log lines.
const ANSWER: Duration = Duration::from_millis(900);
/// Posts of the list.
pub const POSTS: usize = 20;
/// Revealed posts that stay on the page after newer ones have taken their place in the list.
const KEPT: usize = 5;
/// Live pages at one time.
const LIVE: usize = 32;

/// What is told beside the PIN.
#[derive(Clone)]
pub struct Told {
    /// Where the page is reached.
    pub at: PageAt,
    /// Certificate of the node's authority, PEM.
    pub authority: String,
}

/// The user of a session, as the pages need to know.
#[derive(Clone, Debug, Serialize)]
pub struct Me {
    /// The name.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// Goes into each form and comes back with it.
    pub csrf: String,
    /// The pass phrase serves once and is used up: another has to be chosen first.
    pub one_time: bool,
    /// Recovery codes wait to be written down.
    pub codes: bool,
    /// The setup is not over, and this user may go on with it.
    pub setup: bool,
    reveal: bool,
    enroll: bool,
    users: bool,
    support: bool,
}

/// The shared state of the page.
pub struct Desk {
    pub provider: Arc<dyn Provider>,
    pub pages: Pages,
    pub audit: Audit,
    pub door: Door,
    /// How far the setup is.
    pub wizard: wizard::Keep,
    /// A token that waits to be sent.
    pub token: wizard::token::Token,
    /// The data root.
    pub data: PathBuf,
    pub live: Arc<Semaphore>,
    pub stop: CancellationToken,
    lock: Mutex<PinLock>,
    sessions: Mutex<Sessions>,
    pin_file: PathBuf,
    told: watch::Sender<Told>,
}

impl Desk {
    /// A desk for the node whose data root is `data`, with a fresh PIN, which is not told yet.
    pub fn new(provider: Arc<dyn Provider>, pages: Pages, data: &Path, pin_file: PathBuf, told: Told) -> Self {
        let lock = Mutex::new(PinLock::new(Instant::now()));
        let (audit, door) = (Audit::new(&data.join("logs/audit.log")), Door::new(data));
        let (live, stop) = (Arc::new(Semaphore::new(LIVE)), CancellationToken::new());
        let (wizard, token) = (wizard::Keep::new(data), wizard::token::Token::new(data));
        let desk = Desk { wizard, token, data: data.to_owned(), provider, pages, audit, door, live, stop, lock, sessions: Mutex::default(), pin_file, told: watch::channel(told).0 };
        desk.show_site();
        desk
    }

    /// The settings of this moment.
    pub fn settings(&self) -> Result<Settings, Problem> {
        config::load(&self.data.join("settings.toml")).map(Valid::into_inner)
    }

    /// Pages show the name of the site that was chosen; what cannot be read changes nothing.
    pub fn show_site(&self) {
        if let Ok(state) = self.wizard.read() {
            self.pages.set_site(state.and_then(|s| s.answers.welcome).map_or(String::new(), |w| w.site));
        }
    }

    /// The PIN in force; none once the node is claimed.
    pub fn pin(&self) -> Option<String> {
        (!self.door.is_claimed()).then(|| held(&self.lock).shown())
    }

    /// Writes the PIN in force for root to read, or takes it away once the node is claimed.
    pub fn tell_pin(&self) -> std::io::Result<()> {
        if self.door.is_claimed() {
            return match std::fs::remove_file(&self.pin_file) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
                _ => Ok(()),
            };
        }
        let (pin, left) = {
            let lock = held(&self.lock);
            (lock.shown(), lock.left(Instant::now()))
        };
        let until = Utc::now() + chrono::Duration::from_std(left).unwrap_or_default();
        let told = self.told();
        pin_file::write(&self.pin_file, &pin_file::render(&pin, until, &told.at.addresses, &told.at.fingerprint))
    }

    /// What is told beside the PIN at this moment.
    pub fn told(&self) -> Told {
        self.told.borrow().clone()
    }

    /// The same, and how it changes.
    pub fn watch_told(&self) -> watch::Receiver<Told> {
        self.told.subscribe()
    }

    /// Addresses or certificate have changed.
    pub fn retell(&self, told: Told) {
        self.pages.set_fingerprint(&told.at.fingerprint);
        self.told.send_replace(told);
        self.tell_or_warn();
    }

    /// Renews an expired PIN and follows the name of the site; called every few seconds.
    pub fn tick(&self) {
        self.show_site(); // `antihate setup` may have changed it
        let renewed = held(&self.lock).expire(Instant::now());
        if renewed {
            self.tell_or_warn();
        }
    }

    /// One try with a PIN; a new PIN is told at once.
    pub fn attempt(&self, client: IpAddr, typed: &str) -> Verdict {
        let verdict = held(&self.lock).attempt(network(client), typed, Instant::now());
        if matches!(verdict, Verdict::Open | Verdict::Renewed) {
            self.tell_or_warn();
        }
        verdict
    }

    /// Tells the new PIN, or takes it away; what fails is logged.
    pub fn tell_or_warn(&self) {
        if let Err(error) = self.tell_pin() {
            tracing::error!(%error, "the new PIN cannot be written; no one can open the page until it can");
        }
    }

    /// Opens a session: its cookie and what names it in here.
    pub fn open_session(&self, who: Who) -> (Zeroizing<String>, Id) {
        held(&self.sessions).open(who, Instant::now())
    }

    /// The user of a living session; `None` also when the user was removed meanwhile.
    pub fn me(&self, id: &Id) -> Option<Me> {
        let (who, csrf, codes) = self.with(id, false, |s| (s.who.clone(), s.csrf.clone(), s.codes.is_some()))?;
        let Who::User(name) = who else { return None };
        let users = self.door.users().ok()?;
        let user = users.find(&name)?;
        let [reveal, enroll, users, support] = [Right::Reveal, Right::Enroll, Right::Users, Right::Support].map(|right| user.role.may(right));
        // One that cannot be read is not over: its screens tell why.
        let setup = user.role.may(Right::Setup) && self.wizard.read().map_or(true, |s| s.is_some_and(|s| s.finished.is_none()));
        Some(Me { name: user.name.clone(), role: user.role, csrf, one_time: user.one_time, codes, setup, reveal, enroll, users, support })
    }

    /// Notes what a session's user did.
    pub fn note(&self, id: &Id, from: IpAddr, action: Action, about: Option<&str>) -> std::io::Result<()> {
        let known = self.with(id, false, |s| (s.who.clone(), s.label.clone()));
        let (who, session) = known.unwrap_or((Who::Claiming, String::new()));
        let who = if let Who::User(name) = &who { name.as_str() } else { "" };
        self.audit.note(&Deed { who, session: &session, from, action, about })
    }

    /// The same for what may go on where it cannot be noted; that is logged.
    pub fn note_or_warn(&self, id: &Id, from: IpAddr, action: Action, about: Option<&str>) {
        warn_unnoted(self.note(id, from, action, about));
    }

    /// Notes what was tried and refused before there was a session: with the PIN, or under the name `who`.
    pub fn note_refused(&self, who: &str, from: IpAddr, action: Action) {
        warn_unnoted(self.audit.note(&Deed { who, session: "", from, action, about: None }));
    }

    /// The living session that a request names.
    pub fn session_of(&self, headers: &HeaderMap) -> Option<Id> {
        let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
        held(&self.sessions).find(cookies, Instant::now())
    }

    /// Ends a session.
    pub fn close_session(&self, id: &Id) {
        held(&self.sessions).close(id);
    }

    /// Ends all sessions of a user but this one.
    pub fn close_others(&self, name: &str, but: &Id) {
        held(&self.sessions).close_others(&Who::User(name.to_owned()), but);
    }

    /// Reads or changes a session; `None` when it has ended. `acts` begins its idle time anew.
    pub fn with<T>(&self, id: &Id, acts: bool, work: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let mut sessions = held(&self.sessions);
        let now = Instant::now();
        if acts { sessions.touch(id, now).map(work) } else { sessions.look(id, now).map(work) }
    }

    /// Whether a form came from this session; that is an action of its user.
    pub fn sent(&self, id: &Id, csrf: &str) -> bool {
        self.with(id, true, |s| s.sent(csrf)) == Some(true)
    }

    /// The newest posts, or why there are none to show.
    pub async fn posts(&self) -> Result<Vec<Analysis>, Problem> {
        tokio::time::timeout(ANSWER, self.provider.latest_posts(POSTS)).await.unwrap_or_else(|_| Err(late()))
    }

    /// The named posts that are stored, or why they cannot be read.
    pub async fn named(&self, posts: &[PostRef]) -> Result<Vec<Analysis>, Problem> {
        if posts.is_empty() {
            return Ok(Vec::new());
        }
        tokio::time::timeout(ANSWER, self.provider.posts(posts)).await.unwrap_or_else(|_| Err(late()))
    }

    /// Posts that `revealed` names and `list` no longer holds, the latest revealed first.
    async fn kept(&self, mut revealed: Vec<PostRef>, list: &[Analysis]) -> Vec<Analysis> {
        revealed.retain(|r| !list.iter().any(|a| a.post.reference() == *r));
        let named = revealed.split_off(revealed.len().saturating_sub(KEPT));
        let mut kept = self.named(&named).await.unwrap_or_default();
        kept.sort_by_key(|a| std::cmp::Reverse(named.iter().position(|r| *r == a.post.reference())));
        kept
    }

    /// Log lines of a component, or why there are none to show.
    pub async fn log(&self, name: &str, lines: usize) -> Result<Vec<String>, Problem> {
        let late = || Problem::new("PAG-304", "The log cannot be read just now", "it did not arrive in time", "wait a moment and load the page again");
        let read = tokio::time::timeout(ANSWER, self.provider.component_log(name, lines)).await.unwrap_or_else(|_| Err(late()))?;
        Ok(read.iter().map(|line| super::mask::visible(line)).collect())
    }

    /// The checks of the host; none where there is no host, or it did not answer in time.
    pub async fn checks(&self) -> Vec<Check> {
        tokio::time::timeout(ANSWER, self.provider.checks()).await.unwrap_or_default()
    }

    /// What the live part of the home page needs, for one session; `None` when the session has ended.
    pub async fn home(&self, id: &Id, acts: bool) -> Option<Value> {
        let posts = self.posts().await;
        let revealed = self.with(id, acts, |s| s.revealed.clone())?;
        let me = self.me(id)?;
        let kept = self.kept(revealed, posts.as_deref().unwrap_or_default()).await;
        let status = self.provider.status().borrow().clone();
        let now = Utc::now();
        self.with(id, false, |session| {
            let views = |all: &[Analysis]| all.iter().map(|a| view::post(a, session.revealed.contains(&a.post.reference()), now)).collect::<Vec<_>>();
            let (list, problem) = match &posts {
                Ok(list) => (views(list), None),
                Err(problem) => (Vec::new(), Some(problem)),
            };
            context! { node => view::node(&status, now), posts => list, kept => views(&kept), posts_problem => problem, me, csrf => session.csrf.as_str() }
        })
    }
}

fn warn_unnoted(noted: std::io::Result<()>) {
    if let Err(error) = noted {
        tracing::error!(%error, "the audit log cannot be written");
    }
}

fn late() -> Problem {
    Problem::new("PAG-303", "The posts cannot be read just now", "the store did not answer in time", "wait; the list comes back by itself")
}

/// A poisoned lock holds whole values here: every change under it is a single assignment.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
