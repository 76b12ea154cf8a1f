//! `antihate node`: the hosts of the cluster: let one in, show them, take one off.

use super::{Context, DataArg};
use crate::cluster::Cluster;
use crate::cluster::patience::{AT_A_TERMINAL, patiently};
use crate::config::layout::Layout;
use crate::config::place::{Host, Pool};
use crate::files;
use crate::host::distribution::Distribution;
use crate::host::hosts::leave;
use crate::host::{place, survey};
use crate::join::code::{Code, id_of};
use crate::join::decide::{CODE_LIFE, Issued};
use crate::join::{PORT, registry};
use crate::pki::enroll::{certificates, spki_hash};
use crate::status::Problem;
use chrono::{SubsecRound, Utc};
use std::collections::BTreeSet;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The hosts of this cluster. Run it on a control-plane host while the node runs.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate node add --pool analysis\n  antihate node add --control --out join.code\n  antihate node list\n  antihate node remove leaf-2")]
pub struct NodeCmd {
    #[command(flatten)]
    data: DataArg,
    #[command(subcommand)]
    sub: Sub,
}

#[derive(clap::Subcommand)]
enum Sub {
    /// Make a code with which one other host can join, within an hour.
    #[command(after_help = "Examples:\n  antihate node add\n  antihate node add --pool database --out /media/usb/join.code")]
    Add {
        /// What the host will carry; without it, everything. May be given several times.
        #[arg(long = "pool", value_name = "POOL", value_parser = ["general", "analysis", "database"])]
        pools: Vec<String>,
        /// The host will also run a control plane: three of them survive the loss of any one.
        #[arg(long)]
        control: bool,
        /// Address at which the other host reaches this one; without it, the node's own.
        #[arg(long, value_name = "IP")]
        address: Option<Ipv4Addr>,
        /// Write the code to this file, for its owner only, instead of printing it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Show the hosts and the open codes.
    List,
    /// Move a host's pods elsewhere and let no new ones come.
    Drain {
        /// Name of the node.
        name: String,
        /// Longest wait in seconds.
        #[arg(long, default_value_t = 300)]
        timeout: u64,
    },
    /// Let pods come to a drained host again.
    Undrain {
        /// Name of the node.
        name: String,
    },
    /// Take a host off the cluster: its pods move, its vote and its name become free.
    Remove {
        /// Name of the node.
        name: String,
        /// The host is lost: do not wait for its pods.
        #[arg(long)]
        force: bool,
        /// Longest wait for its pods in seconds.
        #[arg(long, default_value_t = 300)]
        timeout: u64,
    },
}

impl NodeCmd {
    /// Does it.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        if !layout.admin_kubeconfig().exists() {
            let cause = format!("{} does not exist", layout.admin_kubeconfig().display());
            return Err(Problem::new("CLI-105", "this host runs no control plane", cause, "Run this on the host that was set up first, or on another control-plane host, as root.").into());
        }
        if Distribution::of(&layout) != Distribution::Embedded {
            return Err(Problem::new("CLI-107", "a node with k3s stays alone", "joining is done by the embedded Kubernetes", "Set the node up without k3s if other hosts are to join it.").into());
        }
        match self.sub {
            Sub::Add { pools, control, address, out } => {
                let pools = pools.iter().filter_map(|p| Pool::parse(p)).collect::<BTreeSet<_>>();
                let pools = if pools.is_empty() { Pool::ALL.into() } else { pools };
                add(&layout, context, (pools, control), address, out)?;
            }
            Sub::List => super::block_on(list(&layout, context))??,
            Sub::Drain { name, timeout } => {
                leave::drain(&layout, &name, Duration::from_secs(timeout))?;
                context.say(&serde_json::json!({"drained": name}), &format!("{name} carries no pods that can run elsewhere; `antihate node undrain {name}` lets them come again."))?;
            }
            Sub::Undrain { name } => {
                leave::undrain(&layout, &name)?;
                context.say(&serde_json::json!({"undrained": name}), &format!("Pods may come to {name} again."))?;
            }
            Sub::Remove { name, force, timeout } => {
                let was = super::block_on(leave::remove(&layout, &name, force, Duration::from_secs(timeout), &tell))??;
                let keys = if was.control { " It ran a control plane and so held the cluster's own keys: if it may be in other hands, call `antihate rotate-authority` and `antihate rotate-secrets`." } else { " The API servers turn its certificates away within half a minute." };
                context.say(&serde_json::json!({"removed": name, "held_cluster_keys": was.control}), &format!("{name} does not belong to the cluster any more. On that host, `antihate reset` takes the rest off.{keys}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What is done or waited for, beside the answer.
fn tell(step: &str) {
    eprintln!("{step}");
}

fn add(layout: &Layout, context: &Context, (pools, control): (BTreeSet<Pool>, bool), address: Option<Ipv4Addr>, out: Option<PathBuf>) -> anyhow::Result<()> {
    let unready = |cause: String| Problem::new("CLI-106", "no code can be made", cause, "Wait until `antihate status` says that Kubernetes runs.");
    let pem = std::fs::read_to_string(layout.pki().join("ca.crt")).map_err(|e| unready(e.to_string()))?;
    let pin = certificates(&pem)?.first().and_then(|c| spki_hash(c)).ok_or_else(|| unready("the cluster's authority cannot be read".into()))?;
    let known = place::load(layout)?.hosts.iter().find(|h| h.index == 0).map(|h| h.address);
    let address = address.or_else(survey::address).or(known).ok_or_else(|| unready("this host has no network address; name it with --address".into()))?;
    let code = Code::generate(pin, SocketAddrV4::new(address, PORT));
    let issued = Issued { id: id_of(&code.public()), public: hex::encode(code.public()), expires: (Utc::now() + CODE_LIFE).trunc_subsecs(0), pools, control, used: None };
    super::block_on(async {
        let cluster = Cluster::connect(&layout.admin_kubeconfig()).await.map_err(|e| e.problem())?;
        let keep = |codes: &mut Vec<Issued>| {
            // It may lie there already, if the answer to the first try was lost.
            codes.retain(|c| c.id != issued.id);
            codes.push(issued.clone());
            Ok(())
        };
        patiently(AT_A_TERMINAL, &tell, async || registry::change_codes(&cluster, keep).await).await
    })??;
    let ends = issued.expires.format("%H:%M UTC");
    if let Some(out) = out {
        files::replace(&std::path::absolute(&out)?, code.reveal().as_bytes(), 0o600)?;
        let told = serde_json::json!({"id": issued.id, "file": out, "expires": issued.expires});
        context.say(&told, &format!("{} serves one host until {ends}: on it, antihate join --file {}", out.display(), out.display()))?;
        return Ok(());
    }
    let told = serde_json::json!({"id": issued.id, "code": *code.reveal(), "expires": issued.expires});
    context.say(&told, &format!("On the other host, with the same file, before {ends}:\n\n  antihate join {}\n\nThe code serves once. Whoever has it can join: give it to nobody else.", *code.reveal()))?;
    Ok(())
}

async fn list(layout: &Layout, context: &Context) -> anyhow::Result<()> {
    let cluster = Cluster::connect(&layout.admin_kubeconfig()).await.map_err(|e| e.problem())?;
    let ask = async || Ok((registry::hosts(&cluster).await?.unwrap_or_default(), registry::codes(&cluster).await?, cluster.nodes().await.map_err(|e| e.problem())?));
    let (hosts, codes, nodes) = patiently(AT_A_TERMINAL, &tell, ask).await?;
    let open: Vec<_> = codes.iter().filter(|c| c.used.is_none() && c.expires > Utc::now()).collect();
    if context.json {
        let told: Vec<_> = nodes
            .iter()
            .map(|n| {
                let host = hosts.iter().find(|h| h.name == n.name);
                serde_json::json!({"name": n.name, "address": n.address, "ready": n.ready, "schedulable": n.schedulable, "kubernetes": n.version, "control": host.is_none_or(|h| h.control), "pools": host.map(|h| &h.pools)})
            })
            .collect();
        writeln!(std::io::stdout(), "{}", serde_json::json!({"hosts": told, "open_codes": open.iter().map(|c| &c.id).collect::<Vec<_>>()}))?;
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    for node in &nodes {
        writeln!(out, "{}", line(node, hosts.iter().find(|h| h.name == node.name)))?;
    }
    for host in hosts.iter().filter(|h| !nodes.iter().any(|n| n.name == h.name)) {
        writeln!(out, "{:20} {:15} has joined and has not started yet", host.name, host.address)?;
    }
    for code in open {
        writeln!(out, "code {} is open until {}", code.id, code.expires.format("%H:%M UTC"))?;
    }
    Ok(())
}

fn line(node: &crate::cluster::nodes::NodeSeen, host: Option<&Host>) -> String {
    let state = match (node.ready, node.schedulable) {
        (true, true) => "ready",
        (true, false) => "ready, drained",
        (false, _) => "NOT READY",
    };
    let address = node.address.map(|a| a.to_string()).unwrap_or_default();
    let role = if host.is_none_or(|h| h.control) { "control plane" } else { "worker" };
    let pools = host.map_or_else(|| "everything".into(), |h| h.pools.iter().map(|p| p.as_str()).collect::<Vec<_>>().join(", "));
    format!("{:20} {address:15} {state:15} {role:14} {pools}  Kubernetes {}", node.name, node.version)
}
