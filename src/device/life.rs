//! What is carried from look to look: cards that were there, errors that nothing has disproved, computations that went right. Pure.

use super::found::{Found, Gpu};
use super::judge::{Judged, Past, judge};
use super::xid::concerns;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two tries to compute on a card that is not well.
const AGAIN: Duration = Duration::from_secs(30);

/// The lives of this host's cards since this process began.
pub struct Life {
    past: Past,
    /// Device file of each card at the last look, by id.
    files: BTreeMap<String, Option<(u64, i64)>>,
    tried: BTreeMap<String, Instant>,
}

impl Life {
    /// Nothing was seen yet. `provable`: there is a program that can compute, so that a card counts only once it has.
    pub fn new(provable: bool) -> Life {
        Life { past: Past { provable, ..Past::default() }, files: BTreeMap::new(), tried: BTreeMap::new() }
    }

    /// Takes in what was found and what the kernel's log told; returns the judgement, and the cards to compute on now.
    pub fn look(&mut self, found: &Found, xids: &BTreeMap<String, u32>, now: Instant) -> (Judged, Vec<Gpu>) {
        for gpu in &found.gpus {
            let id = gpu.id();
            if self.files.insert(id.clone(), gpu.device).is_some_and(|before| before != gpu.device) {
                self.forget(&id);
            }
            if let Some((_, xid)) = xids.iter().find(|(place, _)| concerns(place, &gpu.bus)) {
                self.past.xids.insert(id.clone(), *xid);
                self.tried.insert(id.clone(), now);
            }
            self.past.known.retain(|old, g| *old == id || g.bus != gpu.bus);
            self.past.known.insert(id, gpu.clone());
        }
        let gone: Vec<String> = self.past.known.keys().filter(|id| !found.gpus.iter().any(|g| g.id() == **id)).cloned().collect();
        for id in gone {
            self.files.remove(&id);
            self.forget(&id);
        }
        let judged = judge(found, &self.past);
        let doubtful = |code: &str| ["GPU-106", "GPU-107", "GPU-110"].contains(&code);
        let due = |id: &String| self.tried.get(id).is_none_or(|at| now.duration_since(*at) >= AGAIN);
        let todo = judged.gpus.iter().filter(|c| self.past.provable && c.problem.as_ref().is_some_and(|p| doubtful(&p.code)) && due(&c.id));
        let todo = todo.map(|c| c.gpu.clone()).collect();
        (judged, todo)
    }

    /// Takes in how a computation ended.
    pub fn proven(&mut self, gpu: &Gpu, outcome: Result<(), String>, now: Instant) {
        let id = gpu.id();
        self.tried.insert(id.clone(), now);
        if outcome.is_ok() {
            self.past.xids.remove(&id);
        }
        self.past.proofs.insert(id, outcome.err());
    }

    /// Judges anew what was found at the last look.
    pub fn judge(&self, found: &Found) -> Judged {
        judge(found, &self.past)
    }

    /// Another life of the card begins: what was known of the old one says nothing.
    fn forget(&mut self, id: &str) {
        self.past.xids.remove(id);
        self.past.proofs.remove(id);
        self.tried.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::library::Library;
    use super::*;
    use crate::device::State;
    use crate::device::found::SHARED;

    fn found(device: Option<i64>) -> Found {
        let gpu = |at| Gpu { bus: "0000:3b:00.0".into(), model: "Stand-in".into(), uuid: Some("GPU-1".into()), device: Some((1, at)), ..Gpu::default() };
        let library = Library { version: "580.1".into(), ..Library::default() };
        Found { driver: Some("580.1".into()), gpus: device.map(gpu).into_iter().collect(), library: Some(library), shared: SHARED.map(String::from).into(), ..Found::default() }
    }

    fn code(judged: &Judged) -> &str {
        judged.problems.first().map_or("", |p| p.code.as_str())
    }

    #[test]
    fn a_card_counts_once_it_has_computed_and_an_error_holds_until_it_computes_again() {
        let (none, mut life, start) = (BTreeMap::new(), Life::new(true), Instant::now());
        let (judged, todo) = life.look(&found(Some(1)), &none, start);
        assert_eq!((code(&judged), todo.len()), ("GPU-110", 1));
        life.proven(&todo[0], Ok(()), start);
        assert_eq!(life.judge(&found(Some(1))).state, State::Ready);
        assert!(life.look(&found(Some(1)), &none, start + AGAIN * 9).1.is_empty(), "a card that is well is left alone");
        let fell = BTreeMap::from([("0000:3b:00".to_string(), 79)]);
        let (judged, todo) = life.look(&found(Some(1)), &fell, start);
        assert_eq!((code(&judged), todo.len()), ("GPU-106", 0), "not tried in the moment of the error");
        let (_, todo) = life.look(&found(Some(1)), &none, start + AGAIN);
        life.proven(&todo[0], Err("cuInit: error 999".into()), start + AGAIN);
        assert_eq!(code(&life.judge(&found(Some(1)))), "GPU-106");
        let (_, todo) = life.look(&found(Some(1)), &none, start + AGAIN * 2);
        life.proven(&todo[0], Ok(()), start + AGAIN * 2);
        assert_eq!(life.judge(&found(Some(1))).state, State::Ready);
    }

    #[test]
    fn a_card_that_goes_is_missed_and_begins_anew_when_it_returns() {
        let (none, mut life, now) = (BTreeMap::new(), Life::new(false), Instant::now());
        assert_eq!(life.look(&found(Some(1)), &none, now).0.state, State::Ready, "where nothing can compute, what is there counts");
        let fell = BTreeMap::from([("0000:3b:00".to_string(), 79)]);
        assert_eq!(code(&life.look(&found(Some(1)), &fell, now).0), "GPU-106");
        assert_eq!(code(&life.look(&found(None), &none, now).0), "GPU-105");
        let (judged, todo) = life.look(&found(Some(2)), &none, now);
        assert_eq!((judged.state, todo.len()), (State::Ready, 0));
        let mut provable = Life::new(true);
        let todo = provable.look(&found(Some(1)), &none, now).1;
        provable.proven(&todo[0], Ok(()), now);
        assert_eq!(provable.look(&found(Some(2)), &none, now).1.len(), 1, "another device file is another life, which has to prove itself");
    }
}
