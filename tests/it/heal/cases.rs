//! Which file is damaged, how and when: a list that is the same for the same seed, and what may be said of a rate after so many tries.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// kine's SQLite file.
    Database,
    /// Its write-ahead log.
    Log,
    /// The log's index, which its processes share in memory.
    Index,
    /// containerd's list of images and containers.
    Images,
    /// containerd's list of snapshots.
    Snapshots,
    /// Which addresses the network plugin gave to pods.
    Addresses,
    /// What the kubelet remembers.
    Checkpoint,
    /// Certificates, keys, and what is kept of them.
    Key,
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// The end is cut off.
    Truncate,
    /// Some blocks hold zeros.
    Zero,
    /// One bit is another.
    Flip,
    /// The file is gone.
    Delete,
}

/// When.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// The node was stopped as it should be.
    Stopped,
    /// The host process was killed, pods go on.
    Killed,
    /// Everything runs; whoever reads the file is killed after it.
    Running,
}

/// One try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Its number, from 0.
    pub number: usize,
    /// The file.
    pub what: What,
    /// The damage.
    pub how: How,
    /// The moment.
    pub when: When,
    /// Decides which file of several, and where in it.
    pub at: u64,
}

/// The files in their turns: those of the promise (R8) come three times as often as the others.
const TURNS: [What; 10] =
    [What::Database, What::Log, What::Images, What::Index, What::Database, What::Key, What::Log, What::Snapshots, What::Addresses, What::Checkpoint];
const HOW: [How; 4] = [How::Truncate, How::Zero, How::Flip, How::Delete];

impl What {
    /// True for the files that the promise names.
    pub fn is_promised(self) -> bool {
        matches!(self, What::Database | What::Log | What::Index | What::Images)
    }

    /// A log and its index are gone after a stop: there is nothing to damage.
    fn moments(self) -> &'static [When] {
        if matches!(self, What::Log | What::Index) { &[When::Killed, When::Running] } else { &[When::Stopped, When::Killed, When::Running] }
    }
}

impl Display for Case {
    fn fmt(&self, f: &mut Formatter) -> std::fmt::Result {
        write!(f, "case {}: {:?}, {:?}, {:?}", self.number, self.what, self.how, self.when)
    }
}

/// The first `n` cases of a seed. Every file meets all its kinds of damage at all moments before one comes again.
pub fn cases(n: usize, seed: u64) -> Vec<Case> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut left: BTreeMap<What, Vec<(How, When)>> = BTreeMap::new();
    let mut deal = |number: usize| {
        let what = TURNS[number % TURNS.len()];
        let hand = left.entry(what).or_default();
        if hand.is_empty() {
            hand.extend(HOW.iter().flat_map(|how| what.moments().iter().map(move |when| (*how, *when))));
            hand.shuffle(&mut rng);
        }
        let (how, when) = hand.pop().expect("was filled");
        Case { number, what, how, when, at: rng.r#gen() }
    };
    (0..n).map(&mut deal).collect()
}

/// Damages the file in place, as a disk does: who has it open keeps it open.
pub fn damage(path: &Path, how: How, at: u64) -> std::io::Result<String> {
    let mut rng = StdRng::seed_from_u64(at);
    let length = std::fs::metadata(path)?.len();
    let open = || OpenOptions::new().read(true).write(true).open(path);
    match how {
        How::Delete => std::fs::remove_file(path).map(|()| "gone".into()),
        How::Truncate => {
            // A file that was just made and never written to is the usual victim of a power cut: it is empty.
            let keep = if rng.gen_bool(0.25) { 0 } else { rng.gen_range(0..length.max(1)) };
            open()?.set_len(keep).map(|()| format!("{keep} of {length} bytes left"))
        }
        How::Zero => {
            let from = rng.gen_range(0..length.max(1)) / 4096 * 4096;
            let blocks = rng.gen_range(1..=16);
            let end = (from + blocks * 4096).min(length);
            open()?.write_all_at(&vec![0; (end - from) as usize], from).map(|()| format!("zeros from {from} to {end} of {length}"))
        }
        How::Flip => flip(&open()?, rng.gen_range(0..length.max(1)), rng.gen_range(0..8)).map(|at| format!("bit at byte {at} of {length}")),
    }
}

fn flip(file: &File, at: u64, bit: u8) -> std::io::Result<u64> {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ (1 << bit)], at).map(|()| at)
}

/// The rate of failures that is not exceeded with 95 % certainty when `failures` of `tries` failed (Clopper and Pearson's bound).
pub fn bound(failures: usize, tries: usize) -> f64 {
    if failures >= tries {
        return 1.0;
    }
    // The chance of at most so many failures falls as the rate rises.
    let chance = |rate: f64| {
        let mut term = (1.0 - rate).powi(tries as i32);
        let mut sum = term;
        for k in 1..=failures {
            term *= (tries + 1 - k) as f64 / k as f64 * rate / (1.0 - rate);
            sum += term;
        }
        sum
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if chance(middle) > 0.05 { low = middle } else { high = middle }
    }
    high
}

#[test]
fn the_list_is_the_same_for_the_same_seed_and_leaves_nothing_out() {
    assert_eq!(cases(40, 1), cases(40, 1));
    assert_ne!(cases(40, 1), cases(40, 2));
    let all = cases(120, 7);
    for what in TURNS {
        let of: Vec<&Case> = all.iter().filter(|c| c.what == what).collect();
        assert!(HOW.iter().all(|how| of.iter().any(|c| c.how == *how)), "{what:?}");
        assert!(what.moments().iter().all(|when| of.iter().any(|c| c.when == *when)), "{what:?}");
    }
    assert_eq!(cases(40, 1).iter().filter(|c| c.what.is_promised()).count(), 24);
}

#[test]
fn damage_is_what_it_says() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("f");
    for seed in 0..50 {
        let write = || std::fs::write(&path, vec![0xff; 20_000]).expect("written");
        let read = || std::fs::read(&path).expect("read");
        write();
        damage(&path, How::Flip, seed).expect("flipped");
        assert_eq!(read().iter().map(|b| b.count_zeros()).sum::<u32>(), 1);
        write();
        damage(&path, How::Zero, seed).expect("zeroed");
        assert!(read().len() == 20_000 && read().contains(&0));
        damage(&path, How::Truncate, seed).expect("cut");
        assert!(read().len() < 20_000);
        damage(&path, How::Delete, seed).expect("removed");
        assert!(!path.exists());
    }
}

#[test]
fn the_bound_of_no_failure_is_about_three_in_the_number_of_tries() {
    assert!((bound(0, 40) - 0.0722).abs() < 0.001);
    assert!((bound(1, 40) - 0.1132).abs() < 0.001);
    assert!((bound(0, 300) - 0.01).abs() < 0.001);
    assert_eq!(bound(3, 3), 1.0);
}
