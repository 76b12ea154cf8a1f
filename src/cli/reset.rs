//! `antihate reset`: takes the node off this host again.

use super::{Context, DataArg, install};
use crate::host::{guard, place, reset};
use crate::status::Problem;
use std::io::BufRead;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Ends the node and removes everything of it: posts, identity, images, network, control groups, and the units of `antihate install`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate reset\n  antihate reset --yes --data /srv/antihate")]
pub struct Reset {
    #[command(flatten)]
    data: DataArg,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

impl Reset {
    /// Asks, ends, removes.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        let units = || install::remove(Path::new(install::UNITS), &layout.data);
        if !layout.data.exists() {
            units()?;
            context.say(&serde_json::json!({"removed": false, "data": layout.data}), &format!("There is no node at {}; nothing is left of it.", layout.data.display()))?;
            return Ok(ExitCode::SUCCESS);
        }
        let name = layout.data.display().to_string();
        if !self.yes {
            eprintln!("This removes the node in {name} with all its posts and its identity. It cannot be undone.\nType {name} to go on:");
            let mut typed = String::new();
            std::io::stdin().lock().read_line(&mut typed)?;
            if typed.trim() != name {
                return Err(Problem::new("RST-107", "nothing was removed", "what was typed is not the name of the folder", "type the name as shown, or use --yes").into());
            }
        }
        // First of all: a unit would start again what is ended here.
        units()?;
        let _held = guard::wrest(&layout, Duration::from_secs(120))?;
        let joined = place::load(&layout).is_ok_and(|p| p.is_joined());
        reset::everything(&layout)?;
        let listed = if joined { " Its cluster still has it in its list: on a control-plane host, `antihate node remove --force` takes it out." } else { "" };
        context.say(&serde_json::json!({"removed": true, "data": layout.data, "in_the_list_of_a_cluster": joined}), &format!("Nothing of the node is left.{listed}"))?;
        Ok(ExitCode::SUCCESS)
    }
}
