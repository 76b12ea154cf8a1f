//! What an operator does at the hub's own machine: tokens and nodes. Works beside a serving hub, on the same database.

use super::{Error, moment};
use crate::enroll::token::{Token, is_geography};
use crate::pki::enroll::seed;
use crate::store::hub as store;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::path::Path;
use zeroize::Zeroizing;

/// Longest life of a token: 7 days.
pub const MAX_TTL_S: i64 = 7 * 86_400;

/// What a new token allows.
#[derive(Clone, Debug, Default)]
pub struct NewToken {
    /// Geography; the hub's own if not given.
    pub geography: Option<String>,
    /// Site to which it is limited.
    pub site: Option<String>,
    /// Seconds until it ends.
    pub ttl_s: i64,
    /// Whether a person must accept the node.
    pub approve: bool,
}

/// A token as operators see it: never with its secret.
#[derive(Clone, Debug, Serialize)]
pub struct TokenView {
    /// Public identifier.
    pub id: String,
    /// Geography.
    pub geography: String,
    /// Site to which it is limited.
    pub site: Option<String>,
    /// Whether a person must accept the node.
    pub approve: bool,
    /// `unused`, `used`, `expired` or `revoked`.
    pub state: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// When it was used.
    pub used_at: Option<DateTime<Utc>>,
    /// The node that used it.
    pub node: Option<String>,
}

/// A node as operators see it.
#[derive(Clone, Debug, Serialize)]
pub struct NodeView {
    /// UUID.
    pub id: String,
    /// Geography.
    pub geography: String,
    /// Site.
    pub site: Option<String>,
    /// `pending`, `active`, `rejected`, `revoked` or `locked`.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// Four words of its key.
    pub words: String,
    /// Whether it has confirmed an identity and may send.
    pub confirmed: bool,
    /// Generation of its certificate.
    pub generation: i64,
    /// End of its certificate.
    pub certificate_ends: Option<DateTime<Utc>>,
    /// When it enrolled.
    pub enrolled_at: DateTime<Utc>,
    /// Last sign of life.
    pub last_seen: Option<DateTime<Utc>>,
    /// Address it came from.
    pub last_address: Option<String>,
    /// What it says of itself.
    pub facts: serde_json::Value,
    /// Its last report.
    pub report: serde_json::Value,
}

/// The hub's data, opened for its operator.
pub struct Admin {
    store: store::Hub,
}

/// Makes the hub's folder for its owner only.
pub(super) fn make_folder(data: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data)
}

impl Admin {
    /// Opens the data of a hub that has served at least once.
    pub fn open(data: &Path) -> Result<Admin, Error> {
        let path = data.join("hub.db");
        if !path.is_file() {
            return Err(Error::Value { what: format!("{0} holds no hub; start one with: antihate hub serve --data {0}", data.display()) });
        }
        Ok(Admin { store: store::Hub::open(&path)? })
    }

    /// Makes a token. It is returned once; the hub keeps its public half.
    pub fn create_token(&self, new: &NewToken, now: i64) -> Result<(Zeroizing<String>, TokenView), Error> {
        let own = self.setting("geography")?;
        let geography = new.geography.as_deref().map(str::to_ascii_uppercase).unwrap_or_else(|| own.clone());
        if geography != own || !is_geography(&geography) {
            return Err(Error::Value { what: format!("this hub serves geography {own}, not {geography}") });
        }
        if !(1..=MAX_TTL_S).contains(&new.ttl_s) {
            return Err(Error::Value { what: "a token lives from one second to 7 days".into() });
        }
        let unreadable = || Error::Value { what: "the hub's settings cannot be read; start it once more with: antihate hub serve".into() };
        let pin = hex::decode(self.setting("pin")?).ok().and_then(|p| p.try_into().ok()).ok_or_else(unreadable)?;
        let port = self.setting("port")?.parse().ok().ok_or_else(unreadable)?;
        let token = Token::generate(&geography, pin, &self.setting("name")?, port).map_err(|e| Error::Value { what: e.to_string() })?;
        let row = store::Token {
            id: token.id.clone(),
            public_key: seed::public(token.secret.expose()),
            geography,
            site: new.site.clone(),
            approve: new.approve,
            state: "unused".into(),
            created_at: now,
            expires_at: now + new.ttl_s,
            used_at: None,
            spki: None,
            node: None,
        };
        self.store.add_token(&row)?;
        Ok((token.reveal(), view_token(row, now)))
    }

    fn setting(&self, key: &str) -> Result<String, Error> {
        self.store.meta(key)?.ok_or_else(|| Error::Value { what: "this hub has never served; start it with: antihate hub serve".into() })
    }

    /// All tokens.
    pub fn tokens(&self, now: i64) -> Result<Vec<TokenView>, Error> {
        Ok(self.store.tokens()?.into_iter().map(|t| view_token(t, now)).collect())
    }

    /// Withdraws a token that nobody has used; false if there is none such.
    pub fn revoke_token(&self, id: &str, now: i64) -> Result<bool, Error> {
        Ok(self.store.revoke_token(&id.to_ascii_uppercase(), now)?)
    }

    /// All nodes.
    pub fn nodes(&self) -> Result<Vec<NodeView>, Error> {
        Ok(self.store.nodes()?.into_iter().map(view_node).collect())
    }

    /// One node, by its identifier or an unambiguous beginning of it.
    pub fn node(&self, id: &str) -> Result<Option<NodeView>, Error> {
        let mut fitting = self.nodes()?.into_iter().filter(|n| !id.is_empty() && n.id.starts_with(id));
        let first = fitting.next();
        Ok(if fitting.next().is_some() { None } else { first })
    }

    /// What happened to a node, oldest first.
    pub fn events(&self, id: &str) -> Result<Vec<(DateTime<Utc>, String)>, Error> {
        Ok(self.store.events(id)?.into_iter().map(|(at, what)| (moment(at), what)).collect())
    }

    /// Withdraws a node: its next request is refused. False if it was not there or not in a state to be withdrawn.
    pub fn revoke_node(&self, id: &str, reason: &str, now: i64) -> Result<bool, Error> {
        Ok(self.store.move_node(id, &["pending", "active", "locked"], "revoked", reason, now)?)
    }

    /// Accepts a node that waits for approval.
    pub fn accept_node(&self, id: &str, by: &str, now: i64) -> Result<bool, Error> {
        Ok(self.store.move_node(id, &["pending"], "active", by, now)?)
    }

    /// Rejects a node that waits for approval.
    pub fn reject_node(&self, id: &str, by: &str, now: i64) -> Result<bool, Error> {
        Ok(self.store.move_node(id, &["pending"], "rejected", by, now)?)
    }
}

fn view_token(t: store::Token, now: i64) -> TokenView {
    let ended = t.state == "unused" && t.expires_at <= now;
    TokenView {
        id: t.id,
        geography: t.geography,
        site: t.site,
        approve: t.approve,
        state: if ended { "expired".into() } else { t.state },
        created_at: moment(t.created_at),
        expires_at: moment(t.expires_at),
        used_at: t.used_at.map(moment),
        node: t.node,
    }
}

fn view_node(n: store::Node) -> NodeView {
    let json = |text: &str| serde_json::from_str(text).unwrap_or(serde_json::Value::Null);
    NodeView {
        confirmed: n.confirmed > 0,
        facts: json(&n.facts),
        report: n.report.as_deref().map(json).unwrap_or_default(),
        id: n.id,
        geography: n.geography,
        site: n.site,
        state: n.state,
        reason: n.reason,
        words: n.words,
        generation: n.generation,
        certificate_ends: n.not_after.map(moment),
        enrolled_at: moment(n.enrolled_at),
        last_seen: n.last_seen.map(moment),
        last_address: n.last_address,
    }
}
