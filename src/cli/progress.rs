//! Progress of a starting node on a terminal: a line when a step begins, ends or fails.

use crate::status::{NodeStatus, Step, StepState};
use std::collections::BTreeMap;
use tokio::sync::watch;

/// Tells each change once, until the board ends: lines on standard error, or (`json`) a step a line on standard output.
pub async fn show(mut status: watch::Receiver<NodeStatus>, json: bool) {
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    let mut healthy = false;
    loop {
        let now = status.borrow_and_update().clone();
        for step in &now.steps {
            let Some(line) = line(step) else { continue };
            if told.get(&step.id) != Some(&line) {
                if json { println!("{}", serde_json::to_string(step).unwrap_or_default()) } else { eprintln!("{line}") }
                told.insert(step.id.clone(), line);
            }
        }
        if now.healthy != healthy {
            healthy = now.healthy;
            match json {
                true => println!("{}", serde_json::json!({"healthy": healthy})),
                false => eprintln!("{}", if healthy { "The node is healthy." } else { "The node is no longer healthy." }),
            }
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// What is worth a line; percentages and retries are not.
fn line(step: &Step) -> Option<String> {
    match &step.state {
        StepState::Waiting => None,
        StepState::Running { attempt, .. } if *attempt > 1 => None,
        StepState::Running { .. } => Some(format!("  ...     {}", step.title)),
        StepState::Done => Some(format!("  done    {}", step.title)),
        StepState::Failed { problem } => Some(format!("  failed  {}\n{}", step.title, problem.render())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Problem;

    #[test]
    fn a_failure_is_told_with_code_cause_and_next_step() {
        let state = StepState::Failed { problem: Problem::new("KUB-202", "no answer", "it ended", "read the log") };
        let step = Step { id: "kubernetes".into(), title: "Start Kubernetes".into(), state, detail: String::new(), since: chrono::Utc::now() };
        let text = line(&step).unwrap();
        assert!(["KUB-202", "it ended", "read the log"].iter().all(|w| text.contains(w)));
        let waiting = Step { state: StepState::Waiting, ..step };
        assert_eq!(line(&waiting), None);
    }
}
