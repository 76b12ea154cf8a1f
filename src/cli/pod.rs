//! The command line of the binaries that run in pods: roles, configured by environment, ended by a signal.

mod analyze;
mod observe;

use crate::observe::sample;
use crate::store::{PgConfig, Postgres};
use crate::task::Tasks;
use crate::telemetry::{Health, Registry};
use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Roles of a post's way.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Pod {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    Observe(observe::Observe),
    Analyze(analyze::Analyze),
    Sample(Sample),
}

/// Serves the sample site: posts written for trying things out.
#[derive(Args)]
#[command(after_help = "Example: SAMPLE_RATE=5 antihate-worker sample")]
struct Sample {
    /// Address to serve on.
    #[arg(long, env = "SAMPLE_ADDR", default_value = "0.0.0.0:8080")]
    addr: SocketAddr,
    /// New posts a second.
    #[arg(long, env = "SAMPLE_RATE", default_value_t = 2.0)]
    rate: f64,
    /// Serve exactly so many posts, all at once, instead of an endless stream.
    #[arg(long, env = "SAMPLE_COUNT")]
    count: Option<u64>,
}

/// The database, as every role finds it.
#[derive(Args)]
struct Database {
    /// Host of the database, with or without a port.
    #[arg(long, env = "POSTGRES_HOST", default_value = "postgres.antihate-storage")]
    postgres_host: String,
    /// Role in the database.
    #[arg(long, env = "POSTGRES_USER", default_value = "antihate")]
    postgres_user: String,
    /// Its password.
    #[arg(long, env = "POSTGRES_PASSWORD", default_value = "", hide_env_values = true)]
    postgres_password: String,
    /// Name of the database.
    #[arg(long, env = "POSTGRES_DB", default_value = "antihate_leaf")]
    postgres_db: String,
}

impl Database {
    fn open(&self) -> anyhow::Result<Arc<Postgres>> {
        let (host, port) = match self.postgres_host.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().with_context(|| format!("{port} is no port"))?),
            None => (self.postgres_host.as_str(), 5432),
        };
        let (user, password, database) = (self.postgres_user.clone(), self.postgres_password.clone(), self.postgres_db.clone());
        Ok(Arc::new(Postgres::new(PgConfig { host: host.into(), port, user, password, database })))
    }
}

/// Runs the command line of a pod binary called `name`.
pub fn main(name: &'static str) -> ExitCode {
    let pod = Pod::parse();
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    crate::telemetry::init(!terminal);
    let done = super::block_on(async {
        match pod.role {
            Role::Observe(o) => o.run().await,
            Role::Analyze(a) => a.run(name == "antihate-analyzer").await,
            Role::Sample(s) => s.run().await,
        }
    });
    super::finish(done.and_then(|r| r).map(|()| ExitCode::SUCCESS), !terminal)
}

impl Sample {
    async fn run(self) -> anyhow::Result<()> {
        let site = self.count.map_or_else(|| sample::Site::endless(self.rate), |n| sample::Site::bulk(n, chrono::Utc::now()));
        let listener = listen(self.addr).await?;
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.start("sample-site", sample::serve(listener, site, tasks.stop()));
        until_signal(tasks).await
    }
}

/// Binds, and says where: with port 0 that is the only way to know.
async fn listen(addr: SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    let listener = tokio::net::TcpListener::bind(addr).await.with_context(|| format!("{addr} cannot be served on"))?;
    tracing::info!(addr = %listener.local_addr()?, "serving");
    Ok(listener)
}

/// Starts `/health`, `/ready` and `/metrics`.
async fn start_telemetry(tasks: &mut Tasks, addr: SocketAddr, registry: Registry) -> anyhow::Result<Health> {
    let health = Health::new(Duration::from_secs(120));
    tasks.start("telemetry", crate::telemetry::serve(listen(addr).await?, registry, health.clone(), tasks.stop()));
    Ok(health)
}

/// Runs until SIGTERM or SIGINT, or until a task ends that nobody asked to.
async fn until_signal(mut tasks: Tasks) -> anyhow::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let ended = tokio::select! {
        ended = tasks.join_any() => ended.map_err(anyhow::Error::from),
        _ = term.recv() => Ok(()),
        _ = int.recv() => Ok(()),
    };
    let stragglers = tasks.shutdown(Duration::from_secs(10)).await;
    if stragglers > 0 {
        tracing::warn!(stragglers, "tasks did not end in time");
    }
    ended
}
