//! The local-node stack as functions from the resolved configuration to ordered Kubernetes objects.
//!
//! Objects are JSON values made by Rust functions; a test reads each one into its Kubernetes type and back, so that a
//! misspelt field is found without a cluster. Names, labels, ports and figures are those of the guide. What may talk
//! to what is one table in `policies`; the host enforces it.

pub mod access;
mod analyzer;
mod common;
mod dns;
mod kafka;
mod namespaces;
pub mod network;
mod observers;
mod policies;
mod postgres;
mod prometheus;
mod sample;
mod volumes;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod reachability_tests;

pub use common::MANAGED_BY;
pub use volumes::{CLASS, Folder, Kept, folders, kept};

use crate::config::Resolved;
use serde_json::Value;

/// Images of the stack, by reference; all of them are imported by the node itself.
pub mod images {
    /// Cluster DNS.
    pub const COREDNS: &str = "antihate.local/coredns:1.15.0";
    /// PostgreSQL.
    pub const POSTGRES: &str = "antihate.local/postgres:15";
    /// Apache Kafka.
    pub const KAFKA: &str = "antihate.local/kafka:4.3.1";
    /// Prometheus.
    pub const PROMETHEUS: &str = "antihate.local/prometheus:2.42";
    /// Observers, sample site, analyzer on tract.
    pub const WORKER: &str = "antihate.local/worker:0.1.0";
    /// Analyzer on ONNX Runtime.
    pub const ANALYZER: &str = "antihate.local/analyzer:0.1.0";
}

/// What must not be shown: kept apart from [`Resolved`], which a page may read.
#[derive(Clone)]
pub struct Credentials {
    /// Password of the PostgreSQL user `antihate`.
    pub postgres_password: String,
}

impl Credentials {
    /// For printing and for golden files: says that something stands here, without saying what.
    pub fn masked() -> Credentials {
        Credentials { postgres_password: "masked".into() }
    }
}

/// Objects that are applied together, in this order, and awaited together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Stable identifier, the name of the golden file.
    pub id: &'static str,
    /// What it is, in plain words.
    pub title: &'static str,
    /// The objects, in the order of applying.
    pub objects: Vec<Value>,
}

/// The whole stack in the order of applying: namespaces, access, volumes, then workloads.
pub fn render(resolved: &Resolved, credentials: &Credentials) -> Vec<Group> {
    let group = |id, title, objects| Group { id, title, objects };
    let mut groups = vec![
        group("namespaces", "Namespaces and quotas", namespaces::objects(resolved)),
        group("access", "Accounts and rights", access::objects()),
        group("policies", "Network policies", policies::objects()),
        group("volumes", "Volumes", volumes::objects(resolved)),
        group("dns", "Cluster DNS", dns::objects(resolved)),
        group("postgres", "Database", postgres::objects(resolved, credentials)),
        group("kafka", "Queue", kafka::objects(resolved)),
        group("analyzer", "Text analyzer", analyzer::objects(resolved, credentials)),
        group("observers", "Observers", observers::objects(resolved, credentials)),
        group("prometheus", "Monitoring", prometheus::objects(resolved)),
    ];
    if resolved.settings.sample {
        groups.push(group("sample", "Sample site", sample::objects(resolved)));
    }
    groups
}
