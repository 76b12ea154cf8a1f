//! What a node asks of the hub: join, confirm, renew, heartbeat. Each is one connection and may be repeated at any time.

use super::identity::{Folder, Identity};
use super::link::{Link, Target};
use super::{Error, Options, facts};
use crate::enroll::protocol::{
    Accepted, Challenge, ChallengeRequest, ConfirmRequest, EnrollRequest, Heartbeat, Membership, RenewRequest, Report, path, signing_input,
};
use crate::enroll::refusal::Refusal;
use crate::enroll::token::Token;
use crate::pki::enroll::{device::DeviceKey, seed};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Enrolls by `token` and writes the identity; then confirms it. With the same token it may be repeated after any
/// interruption. A node that has an identity keeps it, unless `replace`.
pub async fn join(folder: &Folder, token: &Token, options: &Options, replace: bool) -> Result<Identity, Error> {
    token.check_geography(options.geography.as_deref())?;
    let _lock = folder.lock()?;
    let held = folder.identity()?.filter(|i| i.ended.is_none());
    let identity = match held {
        Some(held) if held.token == token.id => held,
        Some(held) if !replace => return Err(Error::Already { node: held.node, geography: held.geography }),
        _ => ask(folder, token, options).await?,
    };
    match identity.confirmed {
        true => Ok(identity),
        false => confirm(folder, identity, options).await,
    }
}

/// The exchange itself: challenge, signature, identity on disk.
async fn ask(folder: &Folder, token: &Token, options: &Options) -> Result<Identity, Error> {
    let key = folder.key(&token.id)?;
    let target = Target { host: &token.host, port: token.port, pin: token.pin };
    let mut link = Link::open(target, None, options).await?;
    let challenge = ChallengeRequest { id: token.id.clone() };
    let (_, challenge): (u16, Challenge) = link.post(path::CHALLENGE, &challenge).await?;
    let request = request(token, &key, &challenge, &link.exporter, options)?;
    let (_, membership): (u16, Membership) = link.post(path::ENROLL, &request).await?;
    let identity = Identity::new(membership, &token.id, (&token.host, token.port, token.pin), options.now(), jitter());
    if identity.skew_s.abs() > 300 {
        tracing::warn!(skew_s = identity.skew_s, "the clock of this machine differs from the hub's by more than 5 minutes");
    }
    folder.save(&identity)?;
    folder.forget_keys_but(&token.id);
    Ok(identity)
}

/// The signed request for this very TLS session.
pub(in crate::enroll) fn request(token: &Token, key: &DeviceKey, challenge: &Challenge, exporter: &[u8; 32], options: &Options) -> Result<EnrollRequest, Error> {
    let csr = key.request()?;
    let facts = serde_json::to_string(&facts::gather(options)).unwrap_or_default();
    let nonce = hex::decode(&challenge.nonce).map_err(|_| Refusal::Busy { detail: "Its challenge cannot be read.".into() })?;
    let sig = seed::sign(token.secret.expose(), &signing_input(&nonce, &csr, facts.as_bytes(), exporter));
    Ok(EnrollRequest { id: token.id.clone(), csr: STANDARD.encode(csr), facts, nonce: challenge.nonce.clone(), sig: hex::encode(sig) })
}

/// Tells the hub that the identity is on disk. The lock is held by the caller.
pub(super) async fn confirm(folder: &Folder, mut identity: Identity, options: &Options) -> Result<Identity, Error> {
    let request = ConfirmRequest { generation: identity.generation };
    let accepted: Accepted = call(folder, &identity, options, path::CONFIRM, &request).await?;
    identity.confirmed = true;
    identity.heartbeat_s = accepted.heartbeat_s.clamp(1, 3_600);
    folder.save(&identity)?;
    Ok(identity)
}

/// Gets the next certificate and writes it; it still has to be confirmed. The lock is held by the caller.
pub(in crate::enroll) async fn renew(folder: &Folder, held: &Identity, options: &Options) -> Result<Identity, Error> {
    let csr = STANDARD.encode(folder.key(&held.token)?.request()?);
    let request = RenewRequest { generation: held.generation, csr };
    let membership: Membership = call(folder, held, options, path::RENEW, &request).await?;
    let identity = Identity::new(membership, &held.token, (&held.host, held.port, held.pin()), options.now(), jitter());
    folder.save(&identity)?;
    Ok(identity)
}

/// Says how the node fares.
pub(in crate::enroll) async fn heartbeat(folder: &Folder, identity: &Identity, options: &Options, report: Report) -> Result<Accepted, Error> {
    let beat = Heartbeat { generation: identity.generation, report };
    call(folder, identity, options, path::HEARTBEAT, &beat).await
}

/// One request with the node's certificate.
async fn call<Q: serde::Serialize, A: serde::de::DeserializeOwned>(
    folder: &Folder,
    identity: &Identity,
    options: &Options,
    path: &str,
    request: &Q,
) -> Result<A, Error> {
    let key = folder.key(&identity.token)?;
    let target = Target { host: &identity.host, port: identity.port, pin: identity.pin() };
    let mut link = Link::open(target, Some((&key, &identity.chain)), options).await?;
    Ok(link.post(path, request).await?.1)
}

fn jitter() -> f64 {
    rand::random::<f64>() * 2.0 - 1.0
}
