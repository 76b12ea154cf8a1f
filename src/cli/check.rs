//! `antihate check`: whether this host can carry a node.

use super::payload::PayloadArg;
use super::{Context, DataArg, DriverArg};
use crate::device::{found, judge as judge_gpus};
use crate::host::check::{Check, Verdict, gpus, judge};
use crate::host::survey;
use crate::payload::need;
use std::io::Write;
use std::process::ExitCode;

/// Looks whether this host can carry a node. Exit code 0: yes; 1: no; 2: yes, with losses that are told.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate check\n  antihate check --json | jq '.[] | select(.verdict != \"ok\")'")]
pub struct CheckCmd {
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    payload: PayloadArg,
    #[command(flatten)]
    driver: DriverArg,
}

impl CheckCmd {
    /// Reads the facts, judges, prints.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        let needs = if layout.current().exists() { 0 } else { need(&self.payload.open(context, &layout.data)?).total() };
        let mut checks = judge(&survey::facts(&layout, needs, false));
        checks.push(gpus(&judge_gpus(&found::read(&self.driver.driver_root), &Default::default())));
        let mut out = std::io::stdout().lock();
        if context.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&checks)?)?;
        } else {
            checks.iter().try_for_each(|c| writeln!(out, "{}", line(c)))?;
        }
        Ok(ExitCode::from(code(&checks)))
    }
}

fn line(check: &Check) -> String {
    let word = match check.verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Failure => "failure",
    };
    let words = check.problem.as_ref().map(|p| format!("\n{}", p.render())).unwrap_or_default();
    format!("{word:<8} {}{words}", check.title)
}

fn code(checks: &[Check]) -> u8 {
    let any = |v: Verdict| checks.iter().any(|c| c.verdict == v);
    if any(Verdict::Failure) { 1 } else if any(Verdict::Warning) { 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_the_worst_verdict() {
        let check = |verdict| Check { title: "x", verdict, problem: None };
        assert_eq!(code(&[check(Verdict::Ok)]), 0);
        assert_eq!(code(&[check(Verdict::Ok), check(Verdict::Warning)]), 2);
        assert_eq!(code(&[check(Verdict::Warning), check(Verdict::Failure)]), 1);
    }
}
