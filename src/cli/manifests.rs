//! `antihate manifests`: prints what the node applies, without applying it.

use super::{Context, DataArg};
use crate::config::{self, HostFacts, Resolved};
use crate::manifests::{Credentials, render};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Prints the Kubernetes objects that the settings ask for, as YAML; secrets are masked.
#[derive(Args)]
#[command(after_help = "Examples:\n  antihate manifests --group postgres\n  antihate manifests --settings my.toml --cpus 8 --memory-gib 32 | less")]
pub struct Manifests {
    #[command(flatten)]
    data: DataArg,
    /// Settings file; default: settings.toml in the data root.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Only this group, such as `namespaces`, `postgres`, `observers`.
    #[arg(long, value_name = "ID")]
    group: Option<String>,
    /// With the product's sample site.
    #[arg(long)]
    sample: bool,
    /// Sizes for a host with so many cores; default: 2.
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// Sizes for a host with so much memory.
    #[arg(long, default_value_t = 8)]
    memory_gib: u64,
}

impl Manifests {
    /// Prints the objects.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        let path = self.settings.unwrap_or_else(|| layout.data.join("settings.toml"));
        let mut settings = config::load(&path)?.into_inner();
        settings.sample |= self.sample;
        let example = HostFacts::example();
        let facts = HostFacts { cpu_millis: self.cpus * 1000, memory_bytes: self.memory_gib * config::GIB, data: layout.data.clone(), ..example };
        let resolved = Resolved::new(config::Valid::check(settings)?, facts);
        let groups = render(&resolved, &Credentials::masked());
        if let Some(id) = &self.group {
            anyhow::ensure!(groups.iter().any(|g| g.id == id), "there is no group {id}; there are {}", groups.iter().map(|g| g.id).collect::<Vec<_>>().join(", "));
        }
        let chosen = groups.iter().filter(|g| self.group.as_deref().is_none_or(|id| id == g.id));
        if context.json {
            let objects: Vec<_> = chosen.flat_map(|g| &g.objects).collect();
            println!("{}", serde_json::to_string_pretty(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects}))?);
            return Ok(ExitCode::SUCCESS);
        }
        for group in chosen {
            println!("# {}", group.title);
            for object in &group.objects {
                print!("---\n{}", serde_yaml_ng::to_string(object)?);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
