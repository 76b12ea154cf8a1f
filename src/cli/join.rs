//! `antihate join`: this host becomes part of another host's cluster, and runs as such.

use super::up::Up;
use super::Context;
use crate::host::distribution::Distribution;
use crate::host::k3s::binary;
use crate::host::{guard, joining, mesh, prepare};
use crate::join::code::Code;
use crate::status::Problem;
use std::path::PathBuf;
use std::process::ExitCode;

/// Joins the cluster of a code from `antihate node add`, then runs this host's part of it, in the foreground. Started again later by
/// `antihate up`; a host that has joined already just runs.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate join AHJ1.4K0…\n  antihate join --file /media/usb/join.code --node-ip 192.0.2.8")]
pub struct Join {
    /// The code, as `antihate node add` showed it; white space and hyphens do not matter.
    #[arg(value_name = "CODE", required_unless_present = "file")]
    code: Option<String>,
    /// A file that holds the code.
    #[arg(long, value_name = "FILE", conflicts_with = "code")]
    file: Option<PathBuf>,
    #[command(flatten)]
    up: Up,
}

impl Join {
    /// Joins, then runs.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        crate::host::check::root(nix::unistd::geteuid().is_root()).passed()?;
        let code = Code::parse(&self.typed()?)?;
        let layout = self.up.data.layout()?;
        {
            let _held = guard::take(&layout)?;
            joining::is_free(&layout)?;
            let wanted = self.up.wanted(&layout)?;
            if binary::choose(&self.up.k3s.wish(&wanted.settings)?, &layout)?.is_some() {
                return Err(Problem::new("JOI-121", "a host with k3s cannot join", "joining is done by the embedded Kubernetes", "Leave --k3s and the setting k3s away on this host.").into());
            }
            let payload = self.up.payload.open(context, &layout.data)?;
            let kubernetes = payload.kubernetes_version().unwrap_or_default();
            let settings = self.up.settings(layout.clone(), Distribution::Embedded, &wanted)?;
            prepare::folders(&settings)?;
            let key = mesh::public_key(&layout.pki())?;
            let asked = joining::join(&settings, &code, key, &kubernetes, &|why| eprintln!("Waiting: {why}."));
            let place = super::block_on(asked)??;
            let sentence = format!("{} belongs to the cluster of {} as host number {}. It starts now; later `antihate up` starts it.", settings.node, place.home().unwrap_or("another host"), place.index);
            if context.json {
                eprintln!("{}", serde_json::json!({"joined": settings.node, "index": place.index, "hosts": place.hosts.len()}));
            } else {
                eprintln!("{sentence}");
            }
        }
        self.up.run(context)
    }

    fn typed(&self) -> Result<String, Problem> {
        match (&self.code, &self.file) {
            (Some(code), _) => Ok(code.clone()),
            (None, Some(file)) => std::fs::read_to_string(file).map_err(|e| Problem::new("JOI-101", format!("{} cannot be read", file.display()), e.to_string(), "See that the file is there; `antihate node add --out FILE` makes it.")),
            (None, None) => unreachable!("one of both is required"),
        }
    }
}
