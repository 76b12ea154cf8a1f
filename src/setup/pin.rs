//! The console PIN: who may open the page. Decisions only; the file is `pin_file`'s.
//!
//! 8 Crockford characters (40 bits), good for 10 minutes and for one use. Five wrong tries make a new PIN.
//! Wrong tries are counted by [`Tries`]. Time is handed in and monotonic, so that a jump of the clock changes nothing.

use super::crockford::{fresh, grouped, normal};
use super::tries::{TRIES, Tries};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// How long a PIN is good.
pub const LIFE: Duration = Duration::from_secs(600);
/// Its characters, of five random bits each.
const LENGTH: usize = 8;

/// What a try came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The PIN was right; it is used up and there is a new one.
    Open,
    /// The PIN was wrong; so many tries are left before a new one.
    Wrong { left: u32 },
    /// The PIN was wrong and there is a new one now.
    Renewed,
    /// No try is taken before so many seconds have passed.
    Wait { seconds: u64 },
}

/// The PIN in force and what was tried.
pub struct PinLock {
    pin: Zeroizing<String>,
    ends: Instant,
    wrong: u32,
    tries: Tries,
}

impl PinLock {
    /// A lock with a fresh PIN.
    pub fn new(now: Instant) -> Self {
        PinLock { pin: fresh(LENGTH), ends: now + LIFE, wrong: 0, tries: Tries::default() }
    }

    /// The PIN as a person reads it: `K7M2-9QXD`.
    pub fn shown(&self) -> String {
        grouped(&self.pin)
    }

    /// How long the PIN is still good.
    pub fn left(&self, now: Instant) -> Duration {
        self.ends.saturating_duration_since(now)
    }

    /// Makes a new PIN when the time of this one is over; returns whether it did.
    pub fn expire(&mut self, now: Instant) -> bool {
        let over = now >= self.ends;
        if over {
            self.renew(now);
        }
        over
    }

    /// Takes one try of `client` (see `web::guard::network`).
    pub fn attempt(&mut self, client: IpAddr, typed: &str, now: Instant) -> Verdict {
        self.expire(now);
        if let Some(seconds) = self.tries.wait(client, now) {
            return Verdict::Wait { seconds };
        }
        if bool::from(normal(typed).as_bytes().ct_eq(self.pin.as_bytes())) {
            self.tries.passed(client);
            self.renew(now);
            return Verdict::Open;
        }
        self.failed(client, now)
    }

    fn failed(&mut self, client: IpAddr, now: Instant) -> Verdict {
        self.tries.failed(client, now);
        self.wrong += 1;
        if self.wrong >= TRIES {
            self.renew(now);
            return Verdict::Renewed;
        }
        Verdict::Wrong { left: TRIES - self.wrong }
    }

    fn renew(&mut self, now: Instant) {
        self.pin = fresh(LENGTH);
        self.ends = now + LIFE;
        self.wrong = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tries::HOURLY;
    use super::*;

    fn client(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn the_right_pin_opens_once_however_it_is_typed() {
        let now = Instant::now();
        let mut lock = PinLock::new(now);
        let pin = lock.shown();
        let typed = format!(" {} ", pin.to_lowercase().replace('0', "o").replace('1', "l"));
        assert_eq!(lock.attempt(client(1), &typed, now), Verdict::Open);
        assert!(matches!(lock.attempt(client(1), &pin, now), Verdict::Wrong { .. }));
    }

    #[test]
    fn an_old_pin_is_refused_and_a_new_one_is_shown() {
        let now = Instant::now();
        let mut lock = PinLock::new(now);
        let old = lock.shown();
        let later = now + LIFE;
        assert_ne!(lock.attempt(client(1), &old, later), Verdict::Open);
        let new = lock.shown();
        assert_eq!(lock.attempt(client(1), &new, later), Verdict::Open);
    }

    #[test]
    fn five_wrong_tries_make_a_new_pin_and_their_client_waits_ever_longer() {
        let now = Instant::now();
        let mut lock = PinLock::new(now);
        let old = lock.shown();
        let verdicts: Vec<Verdict> = (0..5).map(|_| lock.attempt(client(1), "x", now)).collect();
        assert_eq!(verdicts[0], Verdict::Wrong { left: 4 });
        assert_eq!(verdicts[4], Verdict::Renewed);
        assert_ne!(lock.shown(), old);
        let Verdict::Wait { seconds: first } = lock.attempt(client(1), "x", now) else { panic!("no wait") };
        let pin = lock.shown();
        assert_eq!(lock.attempt(client(2), &pin, now), Verdict::Open, "another client is not held");
        let later = now + Duration::from_secs(first);
        let again: Vec<Verdict> = (0..5).map(|_| lock.attempt(client(1), "x", later)).collect();
        assert!(again.iter().all(|v| !matches!(v, Verdict::Wait { .. })), "five more tries");
        let Verdict::Wait { seconds: second } = lock.attempt(client(1), "x", later) else { panic!("no wait") };
        assert!(second > first);
    }

    #[test]
    fn many_clients_together_get_few_tries_an_hour() {
        let start = Instant::now();
        let mut lock = PinLock::new(start);
        let taken = (0..1_000_000u32)
            .filter(|n| {
                let from = IpAddr::from(n.to_be_bytes());
                !matches!(lock.attempt(from, "wrong", start + Duration::from_millis(u64::from(*n) * 36)), Verdict::Wait { .. })
            })
            .count();
        // 10 hours: expected successes are at most this divided by 2^40.
        assert!(taken <= HOURLY * 11, "{taken} tries were taken");
    }

    #[test]
    fn a_pin_has_forty_random_bits_and_no_letters_that_are_mistaken() {
        let pins: std::collections::BTreeSet<String> = (0..1000).map(|_| fresh(LENGTH).to_string()).collect();
        assert_eq!(pins.len(), 1000);
        assert!(pins.iter().all(|p| p.len() == 8 && !p.contains(['I', 'L', 'O', 'U'])));
    }
}
