//! `antihate logs`: the log of one component of the host.

use super::{Context, DataArg};
use crate::files::{logs, tail};
use crate::status::Problem;
use std::io::Write;
use std::process::ExitCode;

/// Shows the log of a component of the host, or names the components that have one.
#[derive(clap::Args)]
#[command(after_help = "Example: antihate logs kubelet --lines 100")]
pub struct Logs {
    /// The component, such as `kube-apiserver`; without it the names are listed.
    component: Option<String>,
    /// How many lines from the end.
    #[arg(long, short = 'n', default_value_t = 50)]
    lines: usize,
    #[command(flatten)]
    data: DataArg,
}

impl Logs {
    /// Prints the last lines to standard output.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        let mut out = std::io::stdout().lock();
        let dir = layout.data.join("logs");
        let names = logs(&dir);
        let Some(component) = self.component else {
            print(&mut out, &names, context.json)?;
            return Ok(ExitCode::SUCCESS);
        };
        if !names.contains(&component) {
            let known = if names.is_empty() { "none".into() } else { names.join(", ") };
            let cause = format!("{} holds logs of: {known}", dir.display());
            return Err(Problem::new("CLI-101", format!("no log of {component:?}"), cause, "name one of these components").into());
        }
        print(&mut out, &tail(&layout.log(&component), self.lines)?, context.json)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// One a line, or one JSON list.
fn print(out: &mut impl Write, lines: &[String], json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(writeln!(out, "{}", serde_json::to_string(lines)?)?);
    }
    Ok(lines.iter().try_for_each(|line| writeln!(out, "{line}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_gives_the_last_lines_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(tail(&path, 2).unwrap(), ["two", "three"]);
        assert_eq!(logs(dir.path()), ["a"]);
    }
}
