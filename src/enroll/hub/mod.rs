//! The upstream half: gives tokens, admits devices, renews and withdraws their certificates, hears how they fare.
//!
//! What it never does: keep a secret of a token, read a post, or trust a certificate without looking up the node's state.

pub mod admin;
mod decide;
mod joining;
mod limits;
mod membership;
mod nonce;
mod routes;
mod server;

pub use server::serve;

use crate::enroll::refusal::Refusal;
use crate::pki::enroll::authority::{Authority, NODE_LIFE_S};
use crate::pki::enroll::{self as pki, NodeCertificate};
use crate::status::Problem;
use crate::store::hub as store;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What an operator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where database and keys lie.
    pub data: PathBuf,
    /// Host name or address under which nodes reach the hub.
    pub name: String,
    /// Geography, upper case.
    pub geography: String,
    /// Life of a node's certificate, in seconds.
    pub node_life_s: i64,
    /// Seconds between two heartbeats of a node.
    pub heartbeat_s: u64,
}

impl Settings {
    /// The usual life of certificates and rhythm of heartbeats.
    pub fn new(data: PathBuf, name: &str, geography: &str) -> Settings {
        Settings { data, name: name.into(), geography: geography.into(), node_life_s: NODE_LIFE_S, heartbeat_s: 30 }
    }
}

/// Why a hub cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its database failed.
    #[error("the hub's database cannot be used")]
    Store(#[from] store::Error),
    /// Its keys failed.
    #[error("the hub's keys or certificates cannot be used")]
    Pki(#[from] pki::Error),
    /// Its folder or port failed.
    #[error("{doing} failed")]
    Io { doing: String, source: std::io::Error },
    /// Another hub works on the same data.
    #[error("another hub already works on {data}: {holder}")]
    Busy { data: PathBuf, holder: String },
    /// The data belongs to another geography.
    #[error("the data belongs to geography {stored}, not {asked}")]
    Geography { stored: String, asked: String },
    /// A value cannot be used.
    #[error("{what}")]
    Value { what: String },
}

impl Error {
    /// As it is shown to a person.
    pub fn problem(&self) -> Problem {
        let deep = std::error::Error::source(self).map(|s| {
            let deeper = s.source().map(|d| format!(": {d}")).unwrap_or_default();
            format!("{s}{deeper}")
        });
        let (code, cause, next) = match self {
            Error::Store(_) => ("HUB-101", "", "Check free space and permissions of the hub's data folder."),
            Error::Pki(_) => ("HUB-102", "", "Restore the folder pki of the hub's data from a backup: without its root key no token and no node is valid."),
            Error::Io { .. } => ("HUB-103", "", "Check that the address is this machine's, the port is free, and the data folder can be written."),
            Error::Busy { .. } => ("HUB-104", "One hub works on one data folder.", "Stop the other one, or give this one a folder of its own with --data."),
            Error::Geography { .. } => ("HUB-105", "A hub's keys and nodes belong to one geography for good.", "Give the new geography a data folder of its own with --data."),
            Error::Value { .. } => ("HUB-106", "The hub cannot work with it.", "Change it as described."),
        };
        Problem::new(code, self.to_string(), deep.unwrap_or_else(|| cause.into()), next)
    }
}

/// The other end of a connection.
#[derive(Clone, Debug)]
struct Peer {
    address: SocketAddr,
    exporter: [u8; 32],
    node: Option<NodeCertificate>,
}

/// A hub at work.
struct Hub {
    settings: Settings,
    store: store::Hub,
    authority: Authority,
    nonces: nonce::Nonces,
    limits: limits::Limits,
}

impl Hub {
    /// Now, seconds since 1970.
    fn now(&self) -> i64 {
        chrono::Utc::now().timestamp()
    }
}

/// The database's troubles are logged here and told to the node as "busy".
fn busy(e: store::Error) -> Refusal {
    let source = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
    tracing::error!(error = %e, source, "database");
    Refusal::Busy { detail: "Its database did not answer.".into() }
}

fn moment(seconds: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}
