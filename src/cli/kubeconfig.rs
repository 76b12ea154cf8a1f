//! `antihate kubeconfig`: what a person needs to look at this node's cluster from another machine.

use super::{Context, DataArg, role};
use crate::domain::Role;
use crate::files;
use crate::host::credentials;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Makes a kubeconfig for a person. It holds for some days and cannot be taken back before; anybody who has the file has the rights.
#[derive(clap::Args)]
#[command(after_help = "Example: antihate kubeconfig --role viewer --name jo --out jo.kubeconfig\n\n\
    viewer    sees everything but secrets and posts\n\
    operator  also restarts workloads and ends pods\n\
    owner     may do everything")]
pub struct Kubeconfig {
    #[command(flatten)]
    data: DataArg,
    /// What the person may do.
    #[arg(long, value_parser = role())]
    role: Role,
    /// Who it is: the name that the audit log shows.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// How many days it holds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=365))]
    days: u16,
    /// Address at which the person reaches this host; without it, the node's own.
    #[arg(long, value_name = "IP")]
    server: Option<Ipv4Addr>,
    /// Write it to this file, for its owner only, instead of printing it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Kubeconfig {
    /// Makes it.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        let made = credentials::kubeconfig(&layout, (&self.name, self.role), self.server, self.days)?;
        let Some(out) = self.out else {
            println!("{made}");
            return Ok(ExitCode::SUCCESS);
        };
        files::replace(&std::path::absolute(&out)?, made.as_bytes(), 0o600)?;
        let told = serde_json::json!({"file": out, "name": self.name, "days": self.days});
        context.say(&told, &format!("{} holds for {} days: give it to {} over a way that others cannot read.", out.display(), self.days, self.name))?;
        Ok(ExitCode::SUCCESS)
    }
}
