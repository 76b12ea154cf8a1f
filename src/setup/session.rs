//! Who has opened the page: sessions in memory, found by the hash of a random cookie.
//!
//! A session lasts 8 hours, 30 minutes without a person's action. It knows which posts were revealed in it
//! and holds a token that was pasted but not yet confirmed; neither ever leaves this process.

use super::provider::Packed;
use crate::domain::PostRef;
use crate::status::Problem;
use rand::RngCore;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The cookie; the prefix makes browsers insist on `Secure`, `Path=/` and no domain.
pub const COOKIE: &str = "__Host-antihate";
const LIFE: Duration = Duration::from_secs(8 * 3600);
const IDLE: Duration = Duration::from_secs(30 * 60);
/// Open sessions; the one that was idle longest gives way.
const ROOM: usize = 64;
/// Revealed posts that a session remembers.
const REVEALED: usize = 200;

/// Names a session inside the process.
pub type Id = [u8; 32];

/// Whose session it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Somebody's with the PIN, on a node that nobody had claimed: it may claim it, and nothing else.
    Claiming,
    /// A user's, by name.
    User(String),
}

/// What is shown in one session until its reader says that it is kept.
pub struct Once {
    /// Whose it is.
    pub name: String,
    /// Recovery codes, or a pass phrase that serves once.
    pub secrets: Vec<Zeroizing<String>>,
}

/// One opened page.
pub struct Session {
    /// Whose it is.
    pub who: Who,
    /// Recovery codes of this session's user.
    pub codes: Option<Once>,
    /// The pass phrase of a user who was just added or given another.
    pub invited: Option<Once>,
    /// A support bundle that was made and not fetched yet.
    pub bundle: Option<Arc<Packed>>,
    /// Why the last form was refused; shown once.
    pub refusal: Option<Problem>,
    /// Goes into each form and comes back with it.
    pub csrf: String,
    /// Short name for the audit lines; says nothing about the cookie.
    pub label: String,
    /// The posts whose text this session may see, the latest revealed last.
    pub revealed: Vec<PostRef>,
    /// A token that waits for its confirmation.
    pub token: Option<Zeroizing<String>>,
    /// The last problem of the enrollment form.
    pub problem: Option<Problem>,
    opened: Instant,
    used: Instant,
}

impl Session {
    /// Whether a form came from this session.
    pub fn sent(&self, csrf: &str) -> bool {
        bool::from(csrf.as_bytes().ct_eq(self.csrf.as_bytes()))
    }

    /// Remembers a revealed post; beyond the room the one revealed first is masked again.
    pub fn reveal(&mut self, post: PostRef) {
        self.mask(&post);
        if self.revealed.len() >= REVEALED {
            self.revealed.remove(0);
        }
        self.revealed.push(post);
    }

    /// Forgets a revealed post.
    pub fn mask(&mut self, post: &PostRef) {
        self.revealed.retain(|p| p != post);
    }

    fn lives(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.opened) < LIFE && now.saturating_duration_since(self.used) < IDLE
    }
}

/// All sessions.
#[derive(Default)]
pub struct Sessions {
    all: BTreeMap<Id, Session>,
}

impl Sessions {
    /// Opens a session; returns the cookie's value.
    pub fn open(&mut self, who: Who, now: Instant) -> (Zeroizing<String>, Id) {
        self.all.retain(|_, s| s.lives(now));
        while self.all.len() >= ROOM {
            let Some(oldest) = self.all.iter().min_by_key(|(_, s)| s.used).map(|(id, _)| *id) else { break };
            self.all.remove(&oldest);
        }
        let value = Zeroizing::new(random());
        let session = Session {
            who,
            codes: None,
            invited: None,
            bundle: None,
            refusal: None,
            csrf: random(),
            label: random()[..8].to_owned(),
            revealed: Vec::new(),
            token: None,
            problem: None,
            opened: now,
            used: now,
        };
        let id = id_of(&value);
        self.all.insert(id, session);
        (value, id)
    }

    /// The living session of a `Cookie` header.
    pub fn find(&self, cookies: &str, now: Instant) -> Option<Id> {
        let value = cookies.split(';').filter_map(|c| c.trim().split_once('=')).find(|(name, _)| *name == COOKIE)?.1;
        let id = id_of(value);
        self.all.get(&id).is_some_and(|s| s.lives(now)).then_some(id)
    }

    /// The living session `id`, not counted as an action.
    pub fn look(&mut self, id: &Id, now: Instant) -> Option<&mut Session> {
        self.all.get_mut(id).filter(|s| s.lives(now))
    }

    /// The living session `id`; its idle time begins anew.
    pub fn touch(&mut self, id: &Id, now: Instant) -> Option<&mut Session> {
        let session = self.look(id, now)?;
        session.used = now;
        Some(session)
    }

    /// Ends a session.
    pub fn close(&mut self, id: &Id) {
        self.all.remove(id);
    }

    /// Ends all sessions of a person but one.
    pub fn close_others(&mut self, who: &Who, but: &Id) {
        self.all.retain(|id, s| s.who != *who || id == but);
    }
}

fn id_of(value: &str) -> Id {
    Sha256::digest(value.as_bytes()).into()
}

fn random() -> String {
    let mut bytes = [0u8; 32];
    rand::rngs::OsRng.fill_bytes(&mut bytes);
    data_encoding::BASE64URL_NOPAD.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(sessions: &mut Sessions, now: Instant) -> String {
        format!("other=1; {COOKIE}={}", *sessions.open(Who::Claiming, now).0)
    }

    #[test]
    fn a_cookie_finds_its_session_and_a_made_up_one_does_not() {
        let (mut all, now) = (Sessions::default(), Instant::now());
        let cookie = opened(&mut all, now);
        assert!(all.find(&cookie, now).is_some());
        assert!(all.find(&format!("{COOKIE}=made-up"), now).is_none());
        assert!(all.find("", now).is_none());
    }

    #[test]
    fn a_session_ends_when_idle_and_after_its_life() {
        let (mut all, now) = (Sessions::default(), Instant::now());
        let cookie = opened(&mut all, now);
        assert!(all.find(&cookie, now + IDLE).is_none());
        let id = all.find(&cookie, now).expect("session");
        let mut at = now;
        while at < now + LIFE {
            assert!(all.touch(&id, at).is_some());
            at += IDLE / 2;
        }
        assert!(all.touch(&id, at).is_none());
    }

    #[test]
    fn looking_does_not_keep_a_session_alive() {
        let (mut all, now) = (Sessions::default(), Instant::now());
        let cookie = opened(&mut all, now);
        let id = all.find(&cookie, now).expect("session");
        assert!(all.look(&id, now + IDLE / 2).is_some());
        assert!(all.look(&id, now + IDLE).is_none());
    }

    #[test]
    fn a_form_needs_the_value_of_its_own_session() {
        let (mut all, now) = (Sessions::default(), Instant::now());
        let mut opened = || all.open(Who::Claiming, now).1;
        let (first, second) = (opened(), opened());
        let first = all.all[&first].csrf.clone();
        let second = &all.all[&second];
        assert!(!second.sent(&first) && !second.sent(""));
        assert!(second.sent(&second.csrf));
    }

    #[test]
    fn the_other_sessions_of_a_person_end_and_those_of_others_stay() {
        let (mut all, now) = (Sessions::default(), Instant::now());
        let ada = Who::User("ada".into());
        let ids: Vec<Id> = [ada.clone(), ada.clone(), Who::User("bo".into())].into_iter().map(|who| all.open(who, now).1).collect();
        all.close_others(&ada, &ids[1]);
        assert_eq!([0, 1, 2].map(|n| all.look(&ids[n], now).is_some()), [false, true, true]);
    }

    #[test]
    fn sessions_are_bounded_and_the_idlest_gives_way() {
        let (mut all, now) = (Sessions::default(), Instant::now());
        let first = opened(&mut all, now);
        (0..ROOM).for_each(|_| drop(opened(&mut all, now + Duration::from_secs(1))));
        assert_eq!(all.all.len(), ROOM);
        assert!(all.find(&first, now + Duration::from_secs(1)).is_none());
    }
}
