//! Why an answer is not taken: with words of the reader's language where the setup itself refuses, else as the node's part says it.

use crate::setup::tongue::Tongue;
use crate::status::Problem;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// One of the setup's own, by code; `it` is what was written.
    Own { code: &'static str, it: String },
    /// One of another part of the node, in English.
    Given(Problem),
}

impl Refusal {
    /// All codes that the catalogues explain.
    pub const CODES: [&str; 9] = ["SET-103", "SET-104", "SET-105", "SET-106", "SET-107", "SET-108", "SET-109", "SET-110", "SET-111"];

    /// One of the setup's own.
    pub fn own(code: &'static str) -> Refusal {
        Refusal::about(code, "")
    }

    /// The same, about something that was written.
    pub fn about(code: &'static str, it: &str) -> Refusal {
        Refusal::Own { code, it: it.to_owned() }
    }

    /// In the language, and whether it is told in it.
    pub fn told(&self, tongue: Tongue) -> (Problem, bool) {
        match self {
            Refusal::Given(problem) => (problem.clone(), false),
            Refusal::Own { code, it } => {
                let key = |part: &str| tongue.word(&format!("{}_{part}", code.to_lowercase().replace('-', "_"))).replace("{it}", it);
                (Problem::new(code, key("what"), key("cause"), key("next")), true)
            }
        }
    }

    /// For a terminal.
    pub fn english(&self) -> Problem {
        self.told(Tongue::En).0
    }
}
