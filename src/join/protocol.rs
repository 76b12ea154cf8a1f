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
    /// Another control plane asks for the authority and the keys of secrets, with its certificate.
    pub const SHARE: &str = "/v1/share";
    /// A control plane whose member of etcd is damaged asks for a new one, with its certificate.
    pub const MEMBER: &str = "/v1/member";
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

/// A control plane asks for a new member of etcd in the place of its own, which is damaged.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MemberRequest {}

/// It may begin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemberAnswer {
    /// The list of members with which it begins.
    pub members: String,
}

/// Another control plane asks for what all of them share.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ShareRequest {}

/// What they share.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShareAnswer {
    /// Files of the key folder.
    pub files: Files,
}

/// New certificates, and who belongs to the cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewAnswer {
    /// Its keys.
    pub files: Files,
    /// All hosts.
    pub hosts: Vec<Host>,
}
