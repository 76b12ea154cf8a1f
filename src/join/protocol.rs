//! What is said between a joining host and a control plane: JSON over pinned TLS 1.3.

use crate::config::Place;
use crate::config::place::Host;
use crate::pki::joined::Files;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// Label of the keying material that a signature is bound to.
pub const LABEL: &[u8] = b"EXPORTER-antihate-join-1";
/// Largest request, bytes.
pub const MAX_BODY: usize = 64 << 10;
/// Largest answer, bytes.
pub const MAX_ANSWER: usize = 1 << 20;

/// Paths.
pub mod path {
    /// A host joins with a code.
    pub const JOIN: &str = "/v1/join";
    /// A joined host asks for new certificates, with its present one.
    pub const RENEW: &str = "/v1/renew";
}

/// What a host says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Name of its node.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Public key of its end of the mesh, base64.
    pub mesh_key: String,
    /// Version of its file.
    pub version: String,
    /// Version of its Kubernetes.
    pub kubernetes: String,
}

/// A host wants to join.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinRequest {
    /// Name of the code.
    pub id: String,
    /// [`Facts`] as JSON text: signed as it stands.
    pub facts: String,
    /// Signature with the code, hex.
    pub signature: String,
}

/// It may.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinAnswer {
    /// Its place, with all hosts.
    pub place: Place,
    /// Its keys.
    pub files: Files,
}

/// A joined host asks for new certificates; its address may be another one now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewRequest {
    /// Its address.
    pub address: Ipv4Addr,
}

/// New certificates, and who belongs to the cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewAnswer {
    /// Its keys.
    pub files: Files,
    /// All hosts.
    pub hosts: Vec<Host>,
}
