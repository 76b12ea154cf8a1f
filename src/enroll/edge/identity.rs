//! The identity folder: the device key, what the hub gave, a token that waits, and a lock for those who change it.
//!
//! Everything the hub gave lies in one file, replaced at once: certificate, generation and roots never disagree.
//! The key carries the identifier of its token, so that a repeated attempt uses the same key and a new token a new one.

use super::Error;
use crate::enroll::protocol::Membership;
use crate::enroll::refusal::Refusal;
use crate::enroll::token::Token;
use crate::files;
use crate::pki::enroll::device::DeviceKey;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What the hub gave, and how far it is confirmed. Holds no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Identifier of the node, a UUID.
    pub node: String,
    /// Geography, upper case.
    pub geography: String,
    /// Site, if the token named one.
    pub site: Option<String>,
    /// Host of the hub.
    pub host: String,
    /// Port of the hub.
    pub port: u16,
    /// SHA-256 of the hub root's subject public key info, hexadecimal.
    pub pin: String,
    /// Public identifier of the token by which the node came; names the key's file.
    pub token: String,
    /// Certificate and issuer, PEM.
    pub chain: String,
    /// Roots to trust, PEM.
    pub roots: Vec<String>,
    /// Generation of the certificate.
    pub generation: u64,
    /// Whether the hub knows that this generation is on disk.
    pub confirmed: bool,
    /// When the next renewal is due, by the hub's clock, seconds since 1970.
    pub renew_at: i64,
    /// End of the certificate, by the hub's clock, seconds since 1970.
    pub not_after: i64,
    /// Seconds between two heartbeats.
    pub heartbeat_s: u64,
    /// This machine's clock minus the hub's, in seconds, when last compared.
    pub skew_s: i64,
    /// Why it is over, if the hub said no for good.
    pub ended: Option<Refusal>,
}

impl Identity {
    /// What the hub gave for `token`, or for the identity `held` so far.
    pub(super) fn new(m: Membership, token: &str, (host, port, pin): (&str, u16, [u8; 32]), now: i64, jitter: f64) -> Identity {
        let (issued, not_after) = (m.server_time.timestamp(), m.not_after.timestamp());
        Identity {
            node: m.node,
            geography: m.geography,
            site: m.site,
            host: host.into(),
            port,
            pin: hex::encode(pin),
            token: token.into(),
            chain: m.chain,
            roots: m.roots,
            generation: m.join_state.generation,
            confirmed: false,
            renew_at: super::plan::renew_at(issued, not_after, jitter),
            not_after,
            heartbeat_s: m.heartbeat_s.clamp(1, 3_600),
            skew_s: now - issued,
            ended: None,
        }
    }

    /// `host:port` of the hub.
    pub fn hub(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The pin as bytes; zeros, which match nothing, if the file was tampered with.
    pub(in crate::enroll) fn pin(&self) -> [u8; 32] {
        hex::decode(&self.pin).ok().and_then(|p| p.try_into().ok()).unwrap_or_default()
    }
}

/// The folder `identity` below the data root.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder below the data root of a node.
    pub fn of(data: &Path) -> Folder {
        Folder(data.join("identity"))
    }

    /// Makes the folder, for its owner only.
    pub(super) fn make(&self) -> Result<(), Error> {
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        made.map_err(|source| Error::File { doing: "make", path: self.0.clone(), source })
    }

    /// Takes the lock that everybody holds who changes the identity.
    pub(super) fn lock(&self) -> Result<files::Lock, Error> {
        self.make()?;
        let path = self.0.join("lock");
        let taken = files::Lock::take(&path, &format!("pid {}", std::process::id()));
        taken.map_err(|source| Error::File { doing: "lock", path, source })?.map_err(|holder| Error::Busy { holder })
    }

    /// The identity, if there is one.
    pub fn identity(&self) -> Result<Option<Identity>, Error> {
        let path = self.0.join("identity.json");
        let Some(text) = read(&path)? else { return Ok(None) };
        let wrong = |e: serde_json::Error| Error::File { doing: "understand", path, source: std::io::Error::other(e) };
        serde_json::from_str(&text).map(Some).map_err(wrong)
    }

    /// Replaces the identity, durably.
    pub(in crate::enroll) fn save(&self, identity: &Identity) -> Result<(), Error> {
        let path = self.0.join("identity.json");
        let text = serde_json::to_vec_pretty(identity).map_err(std::io::Error::other);
        text.and_then(|t| files::replace(&path, &t, 0o600)).map_err(|source| Error::File { doing: "write", path, source })
    }

    /// Changes the identity if it is still the one that was read; false if somebody replaced it meanwhile.
    pub(super) fn change(&self, read: &Identity, change: impl FnOnce(&mut Identity)) -> Result<bool, Error> {
        let _lock = self.lock()?;
        let Some(mut now) = self.identity()?.filter(|now| now == read) else { return Ok(false) };
        change(&mut now);
        self.save(&now).map(|()| true)
    }

    /// The device key that belongs to a token; made if it is not there.
    pub(in crate::enroll) fn key(&self, token: &str) -> Result<DeviceKey, Error> {
        self.make()?;
        Ok(DeviceKey::load_or_create(&self.0.join(format!("device-{token}.key")))?)
    }

    /// Removes the keys of earlier identities and attempts.
    pub(super) fn forget_keys_but(&self, token: &str) {
        let own = format!("device-{token}.key");
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("device-") && name != own {
                std::fs::remove_file(entry.path()).ok(); // tried again at the next enrollment
            }
        }
        files::sync_dir(&self.0).ok();
    }

    /// A token that waits for its turn, as it survives a restart. It is removed as soon as it was used or refused.
    pub(super) fn pending(&self) -> Result<Option<Token>, Error> {
        Ok(read(&self.0.join("pending-token"))?.map(Zeroizing::new).and_then(|text| Token::parse(&text).ok()))
    }

    /// Keeps a token until it was tried.
    pub(super) fn set_pending(&self, token: &Token) -> Result<(), Error> {
        self.make()?;
        let path = self.0.join("pending-token");
        files::replace(&path, token.reveal().as_bytes(), 0o600).map_err(|source| Error::File { doing: "write", path, source })
    }

    /// Forgets the waiting token.
    pub(super) fn clear_pending(&self) -> Result<(), Error> {
        let path = self.0.join("pending-token");
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::File { doing: "remove", path, source }),
            _ => Ok(()),
        }
    }

    /// Changes whenever identity or waiting token were replaced.
    pub(super) fn stamp(&self) -> impl PartialEq + use<> {
        ["identity.json", "pending-token"].map(|n| files::version(&self.0.join(n)).ok().flatten())
    }
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { doing: "read", path: path.into(), source }),
    }
}
