//! How often something secret may be tried: a client that was wrong too often waits, each time twice as long, and all clients together
//! are held to so many wrong tries an hour. Time is handed in and monotonic, so that a jump of the clock changes nothing.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Wrong tries until a client has to wait.
pub const TRIES: u32 = 5;
/// Wrong tries of all clients in an hour.
pub const HOURLY: usize = 90;
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(900);
const HOUR: Duration = Duration::from_secs(3600);
/// Clients that are remembered.
const CLIENTS: usize = 1024;
/// Names whose tries are counted apart.
const NAMES: usize = 256;

struct Client {
    wrong: u32,
    waits: u32,
    until: Option<Instant>,
}

/// The wrong tries at one secret.
#[derive(Default)]
pub struct Tries {
    clients: BTreeMap<IpAddr, Client>,
    failures: VecDeque<Instant>,
}

impl Tries {
    /// Seconds until a try of `client` is taken again; `None` when one is taken now.
    pub fn wait(&mut self, client: IpAddr, now: Instant) -> Option<u64> {
        self.failures.retain(|at| now.saturating_duration_since(*at) < HOUR);
        let all = (self.failures.len() >= HOURLY).then(|| self.failures.front().map(|at| *at + HOUR)).flatten();
        let own = self.clients.get(&client).and_then(|c| c.until);
        let until = all.max(own).filter(|until| *until > now)?;
        Some(until.saturating_duration_since(now).as_secs() + 1)
    }

    /// A try of `client` was wrong.
    pub fn failed(&mut self, client: IpAddr, now: Instant) {
        self.failures.push_back(now);
        if self.clients.len() >= CLIENTS {
            // Who waits is remembered longest; the hourly limit holds for those who are forgotten.
            self.clients.retain(|_, c| c.until.is_some_and(|until| until > now));
        }
        let seen = self.clients.entry(client).or_insert(Client { wrong: 0, waits: 0, until: None });
        seen.wrong += 1;
        if seen.wrong >= TRIES {
            let wait = FIRST_WAIT.saturating_mul(1 << seen.waits.min(10)).min(LONGEST_WAIT);
            *seen = Client { wrong: 0, waits: seen.waits + 1, until: Some(now + wait) };
        }
    }

    /// A try of `client` was right: it begins anew.
    pub fn passed(&mut self, client: IpAddr) {
        self.clients.remove(&client);
    }

    /// Begins a try whose outcome is known only later: it counts as wrong until it was right, so that tries side by side are counted
    /// too. Otherwise the seconds until one is taken.
    pub fn begin(&mut self, client: IpAddr, now: Instant) -> Result<(), u64> {
        self.wait(client, now).map_or(Ok(()), Err)?;
        self.failed(client, now);
        Ok(())
    }

    /// A try that was begun was right.
    pub fn was_right(&mut self, client: IpAddr) {
        self.failures.pop_back();
        self.passed(client);
    }
}

/// The wrong tries at many secrets, counted for each name apart; names that nobody has share one count.
#[derive(Default)]
pub struct Held {
    by_name: BTreeMap<String, Tries>,
}

impl Held {
    /// The tries at the secret of `name`; `known` is whether there is one.
    pub fn of(&mut self, name: &str, known: bool) -> &mut Tries {
        let name = if known { name.to_ascii_lowercase() } else { String::new() };
        if self.by_name.len() >= NAMES && !self.by_name.contains_key(&name) {
            // There are fewer users than this: only names of removed ones are forgotten here.
            self.by_name.retain(|_, tries| !tries.failures.is_empty());
        }
        self.by_name.entry(name).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn no_secret_is_tried_a_hundred_times_an_hour_however_many_clients_try() {
        let start = Instant::now();
        let mut held = Held::default();
        let taken = (0..100_000u32)
            .filter(|n| {
                let at = start + Duration::from_millis(u64::from(*n) * 36);
                held.of(if n % 2 == 0 { "Ada" } else { "ada" }, true).begin(client(*n), at).is_ok()
            })
            .count();
        assert_eq!(taken, HOURLY, "in one hour");
    }

    #[test]
    fn one_name_does_not_hold_another() {
        let now = Instant::now();
        let mut held = Held::default();
        (0..TRIES).for_each(|_| held.of("ada", true).failed(client(1), now));
        assert!(held.of("ada", true).wait(client(1), now).is_some());
        assert!(held.of("bo", true).wait(client(1), now).is_none());
        assert!(held.of("ada", true).wait(client(2), now).is_none(), "another client is not held");
        held.of("ada", true).passed(client(1));
        assert!(held.of("ada", true).wait(client(1), now).is_none());
    }

    #[test]
    fn right_tries_are_not_counted_and_tries_side_by_side_are() {
        let now = Instant::now();
        let mut tries = Tries::default();
        for _ in 0..1000 {
            tries.begin(client(1), now).expect("taken");
            tries.was_right(client(1));
        }
        let taken = (0..50).filter(|_| tries.begin(client(1), now).is_ok()).count();
        assert_eq!(taken, TRIES as usize);
    }

    #[test]
    fn made_up_names_take_no_room() {
        let mut held = Held::default();
        (0..1000).for_each(|n| held.of(&format!("made-up-{n}"), false).failed(client(n), Instant::now()));
        assert_eq!(held.by_name.len(), 1);
    }
}
