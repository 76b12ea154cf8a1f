//! `antihate up`: the host process in the foreground.

use super::k3s::K3sArg;
use super::payload::PayloadArg;
use super::{preflight, progress};
use super::{Context, DataArg, DriverArg};
use crate::config::layout::Layout;
use crate::config::{self, Resolved};
use crate::host::board::Board;
use crate::host::gpu::Gpus;
use crate::host::check::{self, Question};
use crate::host::service::Service;
use crate::host::distribution::Distribution;
use crate::host::k3s::binary;
use crate::host::settings::Settings;
use crate::host::storage::luks::Wish;
use crate::host::inputs::{self, Inputs};
use crate::host::{facts, guard, place, prepare, survey};
use crate::payload::{Payload, need};
use crate::setup::Invitation;
use crate::status::Problem;
use crate::task::Tasks;
use std::io::{BufRead, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the ports of a run that was just ended may take to close.
const PORTS_CLOSE: Duration = Duration::from_secs(10);

/// Makes this host a node and keeps it one, in the foreground; ends everything on Ctrl-C or SIGTERM.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate up\n  antihate up --sample --data /srv/antihate --node-ip 192.0.2.7\n  antihate up --k3s /opt/k3s --k3s-sha256 SUM")]
pub struct Up {
    #[command(flatten)]
    pub(super) data: DataArg,
    #[command(flatten)]
    pub(super) payload: PayloadArg,
    #[command(flatten)]
    pub(super) k3s: K3sArg,
    /// Address of this host on its network; without it, that of the default route's link.
    #[arg(long, value_name = "IP")]
    node_ip: Option<Ipv4Addr>,
    /// Name of the node; without it, that of settings.toml, then the host's name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    driver: DriverArg,
    /// Run the sample site and observe it.
    #[arg(long)]
    sample: bool,
    /// Go on with a first start that was cut off also where this one is asked for something else.
    #[arg(long)]
    changed: bool,
    /// Where the page listens.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    page: SocketAddr,
}

impl Up {
    /// Runs until stopped.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        crate::telemetry::init(context.json);
        let layout = self.data.layout()?;
        // Who is not root hears that first: everything after it would fail for this one reason.
        check::root(nix::unistd::geteuid().is_root()).passed()?;
        let wanted = self.wanted(&layout)?;
        let _held = guard::take(&layout)?;
        // What a killed run published last is no longer true; `status` says "no node runs here" until this one publishes.
        drop(std::fs::remove_file(layout.status()));
        let payload = self.payload.open(context, &layout.data)?;
        prepare::leftovers(&layout)?;
        survey::await_free_ports(PORTS_CLOSE);
        self.preflight(&layout, &payload)?;
        let k3s = binary::choose(&self.k3s.wish(&wanted.settings)?, &layout)?;
        survey::raise_open_files();
        let settings = self.settings(layout, k3s.map_or(Distribution::Embedded, Distribution::K3s), &wanted)?;
        // What the settings say of the sample site is taken up while the node runs: the setup may have changed it before the start was cut off.
        inputs::settle(&settings.layout, &Inputs::of(&settings, self.sample), |differ| self.changed || (!context.json && agreed(differ)))?;
        prepare::folders(&settings)?;
        let gpus = Gpus::new(&self.driver.driver_root, context.gpu_probe);
        let again = super::block_on(serve(settings, (wanted, self.sample), self.page, payload, gpus, context.json))??;
        if again {
            return Err(start_again());
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The settings file with what the command line says over it.
    pub(super) fn wanted(&self, layout: &Layout) -> Result<Resolved, Problem> {
        let mut settings = config::load(&layout.data.join("settings.toml"))?.into_inner();
        settings.sample |= self.sample;
        settings.node.name = self.name.clone().or(settings.node.name);
        let place = place::load(layout)?;
        let home = place.home().map(String::from);
        let settings = config::Valid::check(settings)?;
        let facts = survey::host_facts(layout, settings.storage.place(layout).as_deref());
        let stack = settings.network.stack.unwrap_or(place.stack);
        Ok(Resolved { home, stack, ..Resolved::new(settings, facts) })
    }

    /// Looks whether this host can carry a node, without what takes time.
    fn preflight(&self, layout: &Layout, payload: &Payload) -> Result<(), Problem> {
        let question = Question {
            layout,
            need: to_write(layout, payload),
            address: self.node_ip.is_some(),
            page: self.page.port(),
            driver_root: &self.driver.driver_root,
            running: false,
            quick: true,
        };
        preflight::decide(check::look(&question))
    }

    pub(super) fn settings(&self, layout: Layout, distribution: Distribution, wanted: &Resolved) -> Result<Settings, Problem> {
        let found = survey::address();
        let no_address = || Problem::new("CHK-106", "this host has no network address", "no link is up with an IPv4 address", "Bring a link up, or name an address with --node-ip.");
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let place = place::chosen(&layout, &wanted.settings.network, &distribution)?;
        Ok(Settings {
            distribution,
            kernel_protected: facts::kernel_protected(),
            payload: layout.current(),
            node: wanted.node_name(),
            node_ip: self.node_ip.or(found).ok_or_else(no_address)?,
            node_ip_given: self.node_ip.is_some(),
            place,
            cgroups: facts::cgroups(),
            restrict_oom: !facts::has_capability(&status, facts::SYS_RESOURCE),
            resolvers: wanted.host.resolvers.clone(),
            storage: wanted.settings.storage.place(&layout),
            encrypt: Wish::of(&wanted.settings.storage),
            layout,
        })
    }
}

/// Asks the person at the terminal, if there is one.
fn agreed(differ: &[String]) -> bool {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return false;
    }
    eprintln!("An earlier start was cut off that was asked for something else:\n  {}\nGo on with what is wanted now? [y/N]", differ.join("\n  "));
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed).is_ok() && ["y", "yes"].contains(&typed.trim().to_lowercase().as_str())
}

/// Replaces this process by a fresh one with the same arguments: nothing that was known of the old cluster is left in memory.
/// Returns only when that fails.
fn start_again() -> anyhow::Error {
    let failed = std::process::Command::new("/proc/self/exe").args(std::env::args_os().skip(1)).exec();
    Problem::new("HST-102", "the program cannot start itself again", failed.to_string(), "start it again by hand: what was damaged or has changed is then seen to").into()
}

/// Bytes that are still to be written: nothing where the payload was unpacked and imported before.
fn to_write(layout: &Layout, payload: &Payload) -> u64 {
    let needs = need(payload);
    let unpacked = if layout.current().exists() { needs.kubernetes + needs.models } else { 0 };
    let imported = if layout.kubernetes().join("containerd/io.containerd.content.v1.content/blobs").exists() { needs.images } else { 0 };
    needs.total().saturating_sub(unpacked + imported)
}

async fn serve(settings: Settings, (wanted, sample): (Resolved, bool), page: SocketAddr, payload: Payload, gpus: Gpus, json: bool) -> Result<bool, Problem> {
    let stop = CancellationToken::new();
    let board = Board::new(&settings.node);
    let mut talk = Tasks::new(CancellationToken::new());
    let shown = board.subscribe();
    talk.start("progress", async move { Ok(progress::show(shown, json).await) });
    let asked = stop.clone();
    talk.start("signals", async move {
        asked_to_stop().await.map_err(|e| e.to_string())?;
        eprintln!("Stopping: ending the workloads, then Kubernetes. Asked once more, it ends at once.");
        asked.cancel();
        asked_to_stop().await.map_err(|e| e.to_string())?;
        std::process::exit(130)
    });
    let result = Service { settings, wanted, sample, page, payload, gpus, board, stop }.run(move |i| invite(i, json)).await;
    talk.shutdown(Duration::from_millis(50)).await;
    result
}

/// Tells how to open the page; as JSON where that was asked for.
pub(super) fn invite(invitation: Invitation, json: bool) {
    if json {
        let Invitation { addresses, fingerprint, pin_file, pin } = invitation;
        return println!("{}", serde_json::json!({"page": addresses, "fingerprint": fingerprint, "claimed": pin.is_none(), "pin_file": pin.map(|_| pin_file)}));
    }
    eprintln!("The page: {}", invitation.addresses.join("  "));
    eprintln!("  certificate SHA-256: {}", invitation.fingerprint);
    match invitation.pin {
        Some(pin) => eprintln!("  PIN: {pin} (it changes; {} has the one of the moment)", invitation.pin_file.display()),
        None => eprintln!("  It is claimed: log in with your name and pass phrase."),
    }
}

pub(super) async fn asked_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    Ok(())
}
