//! `antihate`: a bare host becomes a local node of the Anti-Hate Platform.
//!
//! Three layers: vocabulary (no I/O), mechanisms (one heavy crate each), roles (one a subcommand).
//! `tests/tidy.rs` holds the arrows between them.

// Vocabulary.
pub mod config;
pub mod domain;
pub mod manifests;
pub mod policy;
pub mod status;
pub mod wire;

// Mechanisms.
pub mod cluster;
pub mod device;
pub mod discovery;
pub mod fetch;
pub mod files;
pub mod inference;
pub mod payload;
pub mod pki;
pub mod process;
pub mod queue;
pub mod store;
pub mod task;
pub mod telemetry;
pub mod web;

// Roles.
pub mod analyze;
pub mod console;
pub mod enroll;
pub mod host;
pub mod join;
pub mod observe;
pub mod operate;
pub mod preview;
pub mod record;
pub mod setup;
pub mod support;

pub mod cli;
