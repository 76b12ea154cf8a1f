//! What is stored in one transaction.

use crate::domain::{Analysis, Post, Quarantined};

/// Platform name of probe posts; they are not counted as posts.
pub const PROBE: &str = "probe";

/// A stretch of one partition: from the position that must be stored now to the one that is stored afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The partition.
    pub partition: i32,
    /// The next offset that the database must hold now.
    pub from: i64,
    /// The next offset afterwards.
    pub to: i64,
    /// Records that were really seen between the two; the rest is lost and is counted as such.
    pub seen: i64,
}

/// Results and positions that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flush {
    /// The topic.
    pub topic: String,
    /// The geography of each post's observer, then the result.
    pub analyses: Vec<(String, Analysis)>,
    /// Messages set aside.
    pub set_aside: Vec<Quarantined>,
    /// One stretch a partition.
    pub spans: Vec<Span>,
}

impl Flush {
    /// Offsets that were skipped without a trace.
    pub fn lost(&self) -> i64 {
        self.spans.iter().map(|s| (s.to - s.from) - s.seen).sum()
    }

    pub(crate) fn posts(&self) -> impl Iterator<Item = &(String, Analysis)> {
        let mut seen = std::collections::HashSet::new();
        self.analyses.iter().filter(|(_, a)| a.post.platform != PROBE).filter(move |(_, a)| seen.insert(a.post.key()))
    }

    pub(crate) fn probes(&self) -> impl Iterator<Item = &Post> {
        self.analyses.iter().map(|(_, a)| &a.post).filter(|p| p.platform == PROBE)
    }
}

/// What a flush counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// New posts.
    pub posts: u64,
    /// Posts that were there already.
    pub known: u64,
    /// Messages set aside.
    pub set_aside: u64,
}

/// What became of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// It is stored.
    Stored(Stored),
    /// It was stored before: the answer to an earlier attempt got lost.
    Already,
    /// The positions are elsewhere: someone else reads these partitions, or they are read again. Nothing was changed.
    Elsewhere,
}

/// What the stored positions say about a flush that cannot be applied as it is.
pub(crate) fn judge(spans: &[Span], stored: impl Fn(i32) -> i64) -> Flushed {
    if spans.iter().all(|s| stored(s.partition) == s.to) { Flushed::Already } else { Flushed::Elsewhere }
}
