//! `antihate rotate-secrets`, `antihate rotate-authority`: new keys while the node runs.

use super::{Context, DataArg};
use crate::host::{k3s, rotate};
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
        k3s::not_here(&layout, "this rotation", "Use `k3s secrets-encrypt rotate-keys` with the node's own binary.")?;
        let count = super::block_on(rotate::secrets_key(&layout, chrono::Utc::now().timestamp(), &|step| eprintln!("{step}")))??;
        context.say(&serde_json::json!({"secrets": count}), &format!("{count} secrets are encrypted with a new key; the old one is gone."))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Gives the running cluster another certificate authority, without a moment in which somebody is not trusted. Takes about five
/// minutes, in which the components start anew three times and pods go on; may be run again. Kubeconfigs of people end with it.
#[derive(clap::Args)]
#[command(after_help = "Example: antihate rotate-authority")]
pub struct RotateAuthority {
    #[command(flatten)]
    data: DataArg,
}

impl RotateAuthority {
    /// Rotates.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        k3s::not_here(&layout, "this rotation", "Use `k3s certificate rotate-ca` with the node's own binary.")?;
        super::block_on(rotate::authority(&layout, chrono::Utc::now().timestamp(), &|step| eprintln!("{step}")))??;
        context.say(&serde_json::json!({"rotated": true}), "The cluster has another authority. Make kubeconfigs of people anew with `antihate kubeconfig`.")?;
        Ok(ExitCode::SUCCESS)
    }
}
