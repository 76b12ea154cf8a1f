//! Checks of a host, alike on command line, page and console: what was seen, why it matters, how it came out and what to do.

pub use super::group::Group;
use super::Problem;
use serde::Serialize;

/// How a check came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It does not concern this host, or was not looked at.
    NotApplicable { reason: String },
    /// The node works, with a loss that is told.
    Warning { problem: Problem },
    /// The node cannot work.
    Failure { problem: Problem },
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its stable name, such as `memory.swap`.
    pub id: &'static str,
    /// What it is about.
    pub group: Group,
    /// What was looked at.
    pub title: &'static str,
    /// What was seen, in a few words.
    pub seen: String,
    /// Why it matters.
    pub why: &'static str,
    /// How it came out.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Group {
    /// A check that is ok until one of the methods below says otherwise; the first that does so holds.
    pub fn check(self, id: &'static str, title: &'static str, why: &'static str, seen: impl Into<String>) -> Check {
        Check { id, group: self, title, seen: seen.into(), why, verdict: Verdict::Ok }
    }
}

impl Check {
    /// Where it does not apply, with the reason.
    pub fn only_if(mut self, applies: bool, reason: &str) -> Check {
        if !applies && self.verdict == Verdict::Ok {
            self.verdict = Verdict::NotApplicable { reason: reason.into() };
        }
        self
    }

    /// The node cannot work if this is so.
    pub fn fails(mut self, bad: bool, code: &str, what: impl Into<String>, next: &str) -> Check {
        if bad && self.verdict == Verdict::Ok {
            self.verdict = Verdict::Failure { problem: Problem::new(code, what, self.why, next) };
        }
        self
    }

    /// The node works with a loss if this is so.
    pub fn warns(mut self, bad: bool, code: &str, what: impl Into<String>, next: &str) -> Check {
        if bad && self.verdict == Verdict::Ok {
            self.verdict = Verdict::Warning { problem: Problem::new(code, what, self.why, next) };
        }
        self
    }

    /// As somebody else judged it.
    pub fn judged(mut self, verdict: Verdict) -> Check {
        if self.verdict == Verdict::Ok {
            self.verdict = verdict;
        }
        self
    }

    /// What is wrong.
    pub fn problem(&self) -> Option<&Problem> {
        match &self.verdict {
            Verdict::Warning { problem } | Verdict::Failure { problem } => Some(problem),
            Verdict::Ok | Verdict::NotApplicable { .. } => None,
        }
    }

    /// The problem as an error, for who cannot go on with it.
    pub fn passed(self) -> Result<(), Problem> {
        self.problem().cloned().map_or(Ok(()), Err)
    }
}

impl Verdict {
    /// The word for a person.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::NotApplicable { .. } => "skipped",
            Verdict::Warning { .. } => "warning",
            Verdict::Failure { .. } => "failure",
        }
    }

    /// The node cannot work.
    pub fn is_failure(&self) -> bool {
        matches!(self, Verdict::Failure { .. })
    }

    /// The node works with a loss.
    pub fn is_warning(&self) -> bool {
        matches!(self, Verdict::Warning { .. })
    }
}

/// `1 failure, 2 warnings, 9 ok`.
pub fn counts(checks: &[&Check]) -> String {
    let count = |wanted: fn(&Verdict) -> bool| checks.iter().filter(|c| wanted(&c.verdict)).count();
    let many = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let (failures, warnings) = (count(Verdict::is_failure), count(Verdict::is_warning));
    let (skipped, ok) = (count(|v| matches!(v, Verdict::NotApplicable { .. })), count(|v| *v == Verdict::Ok));
    let all = [(failures, many(failures, "failure")), (warnings, many(warnings, "warning")), (ok, format!("{ok} ok")), (skipped, format!("{skipped} skipped"))];
    all.into_iter().filter(|(n, _)| *n > 0).map(|(_, words)| words).collect::<Vec<_>>().join(", ")
}

/// One sentence for the whole host.
pub fn sentence(checks: &[Check]) -> String {
    let all: Vec<&Check> = checks.iter().collect();
    let (failures, warnings) = (all.iter().any(|c| c.verdict.is_failure()), all.iter().any(|c| c.verdict.is_warning()));
    let word = match (failures, warnings) {
        (true, _) => "This host cannot carry a node before the failures are mended",
        (false, true) => "This host can carry a node, with the losses that are told",
        (false, false) => "This host can carry a node",
    };
    format!("{word}: {} checks, {}.", checks.len(), counts(&all))
}
