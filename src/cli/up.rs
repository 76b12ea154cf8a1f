//! `antihate up`: the host process in the foreground.

use super::payload::PayloadArg;
use super::{Context, DataArg};
use crate::host::board::{self, Board};
use crate::host::settings::Settings;
use crate::host::up::Node;
use crate::host::{facts, prepare};
use crate::status::{NodeStatus, Problem, StepState};
use crate::task::Tasks;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitCode;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Makes this host a node and keeps it one, in the foreground; ends everything on Ctrl-C or SIGTERM.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate up\n  antihate up --sample --data /srv/antihate --node-ip 192.0.2.7")]
pub struct Up {
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    payload: PayloadArg,
    /// Address of this host on its network; without it, that of the default route's link.
    #[arg(long, value_name = "IP")]
    node_ip: Option<Ipv4Addr>,
    /// Name of the node; without it, the host's name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Up {
    /// Runs until stopped.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        crate::telemetry::init(false);
        let layout = self.data.layout()?;
        let settings = self.settings(layout)?;
        let payload = self.payload.open(context, &settings.layout.data)?;
        super::block_on(serve(settings, payload))??;
        Ok(ExitCode::SUCCESS)
    }

    fn settings(&self, layout: crate::config::layout::Layout) -> Result<Settings, Problem> {
        let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
        let found = facts::choose_address(&facts::addresses(), facts::default_link(&routes).as_deref());
        let node_ip = self.node_ip.or(found).ok_or_else(no_address)?;
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Ok(Settings {
            payload: layout.current(),
            node: facts::node_name(self.name.as_deref().unwrap_or(&facts::hostname())),
            node_ip,
            cgroups: facts::cgroups(),
            restrict_oom: !facts::has_capability(&status, facts::SYS_RESOURCE),
            bridge_netfilter: Path::new(prepare::BRIDGE_NETFILTER).exists(),
            resolvers: facts::resolvers(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()),
            layout,
        })
    }
}

fn no_address() -> Problem {
    Problem::new("CHK-106", "this host has no network address", "no link is up with an IPv4 address", "bring a link up, or name an address with --node-ip")
}

async fn serve(settings: Settings, payload: crate::payload::Payload) -> Result<(), Problem> {
    let stop = CancellationToken::new();
    let board = Board::new(&settings.node);
    let mut beside = Tasks::new(CancellationToken::new());
    let (shown, file) = (board.subscribe(), board.subscribe());
    let path = settings.layout.status();
    beside.start("progress", async move { Ok(show(shown).await) });
    beside.start("status-file", async move { Ok(board::keep_file(file, path).await) });
    let asked = stop.clone();
    beside.start("signals", async move {
        asked_to_stop().await.map_err(|e| e.to_string())?;
        eprintln!("Stopping; asked once more, it ends at once.");
        asked.cancel();
        asked_to_stop().await.map_err(|e| e.to_string())?;
        std::process::exit(130)
    });
    let node = Node::new(settings, payload, board, stop);
    let result = node.run().await;
    beside.shutdown(std::time::Duration::from_millis(50)).await;
    result
}

async fn asked_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    Ok(())
}

/// Tells each step's beginning and end, and the whole's health, in a line.
async fn show(mut status: watch::Receiver<NodeStatus>) {
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let now = status.borrow_and_update().clone();
        for step in &now.steps {
            let line = match &step.state {
                StepState::Waiting => continue,
                StepState::Running { attempt, .. } if *attempt > 1 => continue,
                StepState::Running { .. } => format!("  ...     {}", step.title),
                StepState::Done if step.detail.is_empty() => format!("  done    {}", step.title),
                StepState::Done => format!("  done    {} ({})", step.title, step.detail),
                StepState::Failed { problem } => format!("  failed  {}\n{}", step.title, problem.render()),
            };
            if told.get(&step.id) != Some(&line) {
                eprintln!("{line}");
                told.insert(step.id.clone(), line);
            }
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}
