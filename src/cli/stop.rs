//! `antihate stop`: ends the node, whether its host process lives or was killed.

use super::{Context, DataArg};
use crate::host::{guard, stop, storage};
use std::process::ExitCode;
use std::time::Duration;

/// Ends the node: workloads, Kubernetes, host process. Data stays.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate stop\n  antihate stop --json")]
pub struct Stop {
    #[command(flatten)]
    data: DataArg,
    /// Longest wait in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
}

impl Stop {
    /// Asks the host process to end, then ends what a killed one may have left.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        if !layout.data.exists() {
            context.say(&serde_json::json!({"stopped": false, "data": layout.data}), &format!("There is no node at {}.", layout.data.display()))?;
            return Ok(ExitCode::SUCCESS);
        }
        let _held = guard::wrest(&layout, Duration::from_secs(self.timeout))?;
        stop::leftovers(&layout)?;
        storage::luks::close(&layout)?;
        context.say(&serde_json::json!({"stopped": true, "data": layout.data}), &format!("The node is stopped; its data stays in {}.", layout.data.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
