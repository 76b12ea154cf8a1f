//! What node and hub say to each other: JSON over TLS 1.3, version in the path.
//!
//! The token key signs nonce, certificate request, facts and the keying material of the very TLS session, so that
//! a recorded message is worth nothing anywhere else.

use crate::status::Pipeline;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Label under which both ends derive keying material from the TLS session (RFC 5705).
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-antihate-enroll";
/// Length of a nonce, in bytes.
pub const NONCE_LEN: usize = 32;
/// How long a nonce is good, in seconds.
pub const NONCE_TTL_S: i64 = 60;
/// Largest body of a request, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// Largest answer that a node reads, in bytes.
pub const MAX_ANSWER: usize = 256 * 1024;

/// Paths of the hub.
pub mod path {
    /// `GET`, no secrets: [`super::Time`].
    pub const TIME: &str = "/v1/time";
    /// `POST` [`super::ChallengeRequest`].
    pub const CHALLENGE: &str = "/v1/enroll/challenge";
    /// `POST` [`super::EnrollRequest`].
    pub const ENROLL: &str = "/v1/enroll";
    /// `POST` [`super::ConfirmRequest`], with the node's certificate.
    pub const CONFIRM: &str = "/v1/confirm";
    /// `POST` [`super::RenewRequest`], with the node's certificate.
    pub const RENEW: &str = "/v1/renew";
    /// `POST` [`super::Heartbeat`], with the node's certificate.
    pub const HEARTBEAT: &str = "/v1/heartbeat";
}

/// The hub's clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Time {
    /// Now, as the hub sees it.
    pub server_time: DateTime<Utc>,
}

/// Asks for a nonce.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChallengeRequest {
    /// Public identifier of the token.
    pub id: String,
}

/// The same for known and unknown identifiers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Challenge {
    /// 32 bytes, hexadecimal.
    pub nonce: String,
    /// Now, as the hub sees it.
    pub server_time: DateTime<Utc>,
    /// How long the nonce is good, in seconds.
    pub ttl_s: i64,
}

/// Asks for a certificate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrollRequest {
    /// Public identifier of the token.
    pub id: String,
    /// Certificate request (PKCS #10 DER), base64.
    pub csr: String,
    /// [`Facts`] as JSON text: signed byte for byte.
    pub facts: String,
    /// The nonce, hexadecimal.
    pub nonce: String,
    /// Ed25519 signature of [`signing_input`] by the token key, hexadecimal.
    pub sig: String,
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Host name.
    pub hostname: String,
    /// Geography that the node is configured for, if any.
    pub geography: Option<String>,
    /// Site that the node is configured for, if any.
    pub site: Option<String>,
    /// Machine architecture.
    pub arch: String,
    /// Kernel release.
    pub kernel: String,
    /// Logical processors.
    pub cpus: u32,
    /// Memory, in bytes.
    pub memory: u64,
    /// Names of the GPUs.
    pub gpus: Vec<String>,
    /// Serial number of the machine, if it may be read.
    pub serial: Option<String>,
    /// Version of the binary.
    pub version: String,
}

/// Counts how often an identity was renewed; the hub sees a copy by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinState {
    /// 1 for the first certificate, one more with each renewal.
    pub generation: u64,
}

/// A node's place in the geography.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Membership {
    /// Identifier given by the hub, a UUID.
    pub node: String,
    /// Geography, upper case.
    pub geography: String,
    /// Site, if the token names one.
    pub site: Option<String>,
    /// Certificate of the node and its issuer, PEM.
    pub chain: String,
    /// Roots that the node is to trust from now on, PEM; the next one stands here before it is used.
    pub roots: Vec<String>,
    /// The state that the next renewal must name.
    pub join_state: JoinState,
    /// Seconds between two heartbeats.
    pub heartbeat_s: u64,
    /// Serial number of the certificate, hexadecimal.
    pub serial: String,
    /// When the certificate begins, by the hub's clock.
    pub not_before: DateTime<Utc>,
    /// When the certificate ends, by the hub's clock.
    pub not_after: DateTime<Utc>,
    /// Now, as the hub sees it.
    pub server_time: DateTime<Utc>,
}

/// Says that the membership is safely on disk; only now the node may send.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfirmRequest {
    /// The generation that was written.
    pub generation: u64,
}

/// Asks for the next certificate of the same key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewRequest {
    /// The generation that the node holds.
    pub generation: u64,
    /// Certificate request (PKCS #10 DER), base64.
    pub csr: String,
}

/// How the node fares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Version of the binary.
    pub version: String,
    /// Whether a probe post came out of the database.
    pub healthy: bool,
    /// One sentence for a person.
    pub summary: String,
    /// Counters of the post's way.
    pub pipeline: Pipeline,
}

/// Sent again and again; carries no post.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The generation that the node holds.
    pub generation: u64,
    /// How it fares.
    pub report: Report,
}

/// Answer to a confirmation or heartbeat.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accepted {
    /// Now, as the hub sees it.
    pub server_time: DateTime<Utc>,
    /// Seconds until the next heartbeat.
    pub heartbeat_s: u64,
}

/// What the token key signs.
pub fn signing_input(nonce: &[u8], csr: &[u8], facts: &[u8], exporter: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"ahn1-enroll");
    hash.update(nonce);
    hash.update(Sha256::digest(csr));
    hash.update(Sha256::digest(facts));
    hash.update(exporter);
    hash.finalize().into()
}
