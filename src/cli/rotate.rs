//! `antihate rotate-secrets`, `antihate rotate-authority`: new keys while the node runs.

use super::{Context, DataArg};
use crate::config::layout::Layout;
use crate::host::{k3s, place, rotate};
use crate::status::Problem;
use std::process::ExitCode;

/// Gives the running cluster a new key for its secrets at rest and writes every secret anew. Takes about two minutes, with several
/// control planes twice that; may be run again. Run it on a control-plane host.
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
        control(&layout)?;
        let count = super::block_on(rotate::secrets_key(&layout, chrono::Utc::now().timestamp(), &|step| eprintln!("{step}")))??;
        context.say(&serde_json::json!({"secrets": count}), &format!("{count} secrets are encrypted with a new key; the old one is gone."))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Gives the running cluster another certificate authority, without a moment in which somebody is not trusted. Takes about five
/// minutes, with several hosts more, in which the components start anew three times, one control plane after the other, and pods go on;
/// may be run again. Kubeconfigs of people end with it. Run it on a control-plane host; all hosts have to be there.
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
        control(&layout)?;
        super::block_on(rotate::authority(&layout, chrono::Utc::now().timestamp(), &|step| eprintln!("{step}")))??;
        context.say(&serde_json::json!({"rotated": true}), "The cluster has another authority. Make kubeconfigs of people anew with `antihate kubeconfig`.")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A host without a control plane holds neither the authority nor the keys of secrets.
fn control(layout: &Layout) -> Result<(), Problem> {
    let place = place::load(layout)?;
    if place.control {
        return Ok(());
    }
    let controls: Vec<&str> = place.controls().map(|h| h.name.as_str()).collect();
    Err(Problem::new("ROT-107", "this host runs no control plane", "it holds neither the cluster's authority nor the keys of its secrets", format!("Run this on {}.", controls.join(" or "))))
}
