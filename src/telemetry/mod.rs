//! Logs and metrics. Logs go to standard error; standard output is for data.

mod metrics;
mod server;

pub use metrics::{Collector, AnalyzerMetrics, Registry};
pub use server::{Health, serve};

use tracing_subscriber::EnvFilter;

/// Starts logging: plain lines on a terminal, JSON in a pod (`json`). The level comes from `ANTIHATE_LOG`.
pub fn init(json: bool) {
    let filter = EnvFilter::try_from_env("ANTIHATE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let started = if json { base.json().try_init() } else { base.with_ansi(ansi).try_init() };
    drop(started); // a second call, as in tests, keeps the first subscriber
}
