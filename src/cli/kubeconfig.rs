//! `antihate kubeconfig`: what a person needs to look at this node's cluster from another machine.

use super::{Context, DataArg};
use crate::files;
use crate::host::settings::API_PORT;
use crate::host::{k3s, survey};
use crate::manifests::access::groups;
use crate::pki::cluster;
use crate::status::Problem;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;
use time::{Duration, OffsetDateTime};

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
    #[arg(long, value_enum)]
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

#[derive(Clone, Copy, clap::ValueEnum)]
enum Role {
    Viewer,
    Operator,
    Owner,
}

impl Kubeconfig {
    /// Makes it.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        k3s::not_here(&layout, "a kubeconfig for a person", "Use `antihate kubectl`; its file of the administrator gives every right and is not to be handed on.")?;
        let pki = layout.pki();
        let lacking = |what: &str, cause: String, next: &str| Problem::new("CLI-104", what, cause, next);
        if !self.name.chars().all(|c| c.is_ascii_alphanumeric() || "-._@".contains(c)) || self.name.is_empty() || self.name.starts_with("system") {
            return Err(lacking("this name cannot be used", "letters, digits and - . _ @ are allowed, and it may not begin with system".into(), "Choose another --name.").into());
        }
        let server = self.server.or_else(survey::address).ok_or_else(|| lacking("this host has no network address", "no link is up with an IPv4 address".into(), "Name one with --server."))?;
        let group = match self.role {
            Role::Viewer => groups::VIEWER,
            Role::Operator => groups::OPERATOR,
            Role::Owner => groups::OWNER,
        };
        let made = cluster::for_person(&pki, (&self.name, group), &format!("{server}:{API_PORT}"), Duration::days(self.days.into()), OffsetDateTime::now_utc());
        let made = made.map_err(|e| {
            let cause = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
            lacking(&e.to_string(), cause, "Start the node with `antihate up` first, and run this as root.")
        })?;
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
