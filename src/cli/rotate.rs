//! `antihate rotate-secrets`: a new key for the secrets at rest.

use super::{Context, DataArg};
use crate::host::rotate;
use std::process::ExitCode;

/// Gives the running node a new key for its secrets at rest and writes every secret anew. Takes about two minutes; may be run again.
#[derive(clap::Args)]
#[command(after_help = "Example: antihate rotate-secrets")]
pub struct RotateSecrets {
    #[command(flatten)]
    data: DataArg,
}

impl RotateSecrets {
    /// Rotates.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        let count = super::block_on(rotate::secrets_key(&layout, chrono::Utc::now().timestamp(), &|step| eprintln!("{step}")))??;
        context.say(&serde_json::json!({"secrets": count}), &format!("{count} secrets are encrypted with a new key; the old one is gone."))?;
        Ok(ExitCode::SUCCESS)
    }
}
