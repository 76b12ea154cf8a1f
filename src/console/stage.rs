//! At which stage the node is, in two words for the head of the screen. Pure.

use super::facts::Facts;
use crate::status::{NodeStatus, StepState};

/// The stages, in the order in which they matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing was ever made here.
    Never,
    /// A node was made and does not run.
    Down,
    /// A step failed; it is tried again.
    Failed,
    /// Steps are at work.
    Preparing,
    /// It runs and belongs to nobody.
    Waiting,
    /// It works with a loss.
    Degraded,
    /// All is well.
    Running,
}

impl Stage {
    /// Of these facts.
    pub fn of(facts: &Facts) -> Stage {
        let Some(node) = &facts.node else { return if facts.made { Stage::Down } else { Stage::Never } };
        if node.steps.iter().any(|s| matches!(s.state, StepState::Failed { .. })) {
            return Stage::Failed;
        }
        if node.steps.iter().any(|s| !matches!(s.state, StepState::Done)) {
            return Stage::Preparing;
        }
        match (facts.claimed, node.healthy && node.components.iter().all(|c| c.healthy)) {
            (_, false) => Stage::Degraded,
            (false, true) => Stage::Waiting,
            (true, true) => Stage::Running,
        }
    }

    /// For the head of the screen.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Never => "NOT STARTED YET",
            Stage::Down => "NODE IS DOWN",
            Stage::Failed => "A STEP FAILED",
            Stage::Preparing => "PREPARING",
            Stage::Waiting => "WAITING FOR SETUP",
            Stage::Degraded => "DEGRADED",
            Stage::Running => "RUNNING",
        }
    }

    /// Somebody should look.
    pub fn is_bad(self) -> bool {
        matches!(self, Stage::Down | Stage::Failed | Stage::Degraded)
    }
}

/// How much of the way to a healthy node is done, in percent: each step counts alike, the one at work by its own percentage.
pub fn percent(node: &NodeStatus) -> u16 {
    let of = |state: &StepState| match state {
        StepState::Done => 100,
        StepState::Running { percent, .. } => u16::from(percent.unwrap_or(0).min(99)),
        StepState::Waiting | StepState::Failed { .. } => 0,
    };
    let all = u16::try_from(node.steps.len()).unwrap_or(1).max(1);
    node.steps.iter().map(|s| of(&s.state)).sum::<u16>() / all
}
