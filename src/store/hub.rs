//! The hub's SQLite database: tokens (public keys only), nodes and what happened to them.
//!
//! Each change of a token's or node's standing is one statement, so that of any number of racing devices one wins.
//! All times are seconds since 1970.

use rusqlite::{Connection, OptionalExtension, Row, params};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY, public_key BLOB NOT NULL, geography TEXT NOT NULL, site TEXT, approve INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('unused','used','revoked')),
    created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, used_at INTEGER, spki BLOB, node TEXT) STRICT;
CREATE TABLE IF NOT EXISTS nodes (
    id TEXT PRIMARY KEY, geography TEXT NOT NULL, site TEXT, spki BLOB NOT NULL, words TEXT NOT NULL, token TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending','active','rejected','revoked','locked')), reason TEXT,
    generation INTEGER NOT NULL, confirmed INTEGER NOT NULL, serial TEXT, not_after INTEGER, recoveries INTEGER NOT NULL DEFAULT 0,
    facts TEXT NOT NULL, enrolled_at INTEGER NOT NULL, accepted_at INTEGER, last_seen INTEGER, last_address TEXT, report TEXT) STRICT;
CREATE TABLE IF NOT EXISTS events (at INTEGER NOT NULL, subject TEXT NOT NULL, what TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS events_subject ON events (subject, at);
";

const TOKEN: &str = "id, public_key, geography, site, approve, state, created_at, expires_at, used_at, spki, node";
const NODE: &str = "id, geography, site, spki, words, token, state, reason, generation, confirmed, serial, not_after, recoveries, facts, enrolled_at, accepted_at, last_seen, last_address, report";

/// The database failed.
#[derive(Debug, thiserror::Error)]
#[error("the hub's database failed while it should {doing}")]
pub struct Error {
    doing: &'static str,
    source: rusqlite::Error,
}

/// A token without its secret.
#[derive(Clone, Debug)]
pub struct Token {
    /// Public identifier.
    pub id: String,
    /// Ed25519 public key, 32 bytes.
    pub public_key: [u8; 32],
    /// Geography into which it enrolls.
    pub geography: String,
    /// Site to which it is limited.
    pub site: Option<String>,
    /// Whether a person must accept the node.
    pub approve: bool,
    /// `unused`, `used` or `revoked`.
    pub state: String,
    /// When it was made.
    pub created_at: i64,
    /// When it ends.
    pub expires_at: i64,
    /// When it was used.
    pub used_at: Option<i64>,
    /// SHA-256 of the key of the device that used it.
    pub spki: Option<[u8; 32]>,
    /// The node that used it.
    pub node: Option<String>,
}

/// A node as the hub knows it.
#[derive(Clone, Debug)]
pub struct Node {
    /// UUID.
    pub id: String,
    /// Geography.
    pub geography: String,
    /// Site.
    pub site: Option<String>,
    /// SHA-256 of the device key's subject public key info.
    pub spki: [u8; 32],
    /// Four words for that key.
    pub words: String,
    /// Token by which it came.
    pub token: String,
    /// `pending`, `active`, `rejected`, `revoked` or `locked`.
    pub state: String,
    /// Why it is in that state, if somebody said so.
    pub reason: Option<String>,
    /// Generation of the certificate issued last.
    pub generation: i64,
    /// Generation confirmed last; 0 before the first confirmation.
    pub confirmed: i64,
    /// Serial number of the certificate issued last.
    pub serial: Option<String>,
    /// End of that certificate.
    pub not_after: Option<i64>,
    /// Renewals with an expired certificate so far.
    pub recoveries: i64,
    /// What it said of itself, JSON.
    pub facts: String,
    /// First request.
    pub enrolled_at: i64,
    /// When it was accepted.
    pub accepted_at: Option<i64>,
    /// Last heartbeat, confirmation or renewal.
    pub last_seen: Option<i64>,
    /// Address it came from.
    pub last_address: Option<String>,
    /// Last report, JSON.
    pub report: Option<String>,
}

/// A device that wants to use a token.
pub struct Claim<'a> {
    /// Token.
    pub token: &'a str,
    /// Identifier for the new node.
    pub node: &'a str,
    /// SHA-256 of its key.
    pub spki: [u8; 32],
    /// Four words for its key.
    pub words: &'a str,
    /// What it says of itself, JSON.
    pub facts: &'a str,
    /// Now.
    pub now: i64,
}

/// The open database.
pub struct Hub {
    db: Mutex<Connection>,
}

/// How long a lock of another process is waited for.
const BUSY: std::time::Duration = std::time::Duration::from_secs(10);

/// Two processes that make the same database at the same time get in each other's way here, and SQLite does not wait for this
/// change by itself: it is tried again as long as the database's other locks are waited for.
fn write_ahead(db: &Connection) -> rusqlite::Result<()> {
    let deadline = std::time::Instant::now() + BUSY;
    loop {
        match db.pragma_update(None, "journal_mode", "WAL") {
            Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) && std::time::Instant::now() < deadline => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            done => return done,
        }
    }
}

impl Hub {
    /// Opens or makes the database; several processes may have it open.
    pub fn open(path: &Path) -> Result<Hub, Error> {
        let open = || -> rusqlite::Result<Connection> {
            let db = Connection::open(path)?;
            db.busy_timeout(BUSY)?;
            write_ahead(&db)?;
            db.pragma_update(None, "synchronous", "FULL")?;
            db.pragma_update(None, "secure_delete", "ON")?;
            db.execute_batch(SCHEMA)?;
            Ok(db)
        };
        Ok(Hub { db: Mutex::new(open().map_err(failed("open"))?) })
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A setting.
    pub fn meta(&self, key: &str) -> Result<Option<String>, Error> {
        self.db().query_row("SELECT value FROM meta WHERE key = ?1", [key], |r| r.get(0)).optional().map_err(failed("read a setting"))
    }

    /// Changes a setting.
    pub fn set_meta(&self, key: &str, value: &str) -> Result<(), Error> {
        let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.db().execute(sql, [key, value]).map(drop).map_err(failed("write a setting"))
    }

    /// Adds a token.
    pub fn add_token(&self, t: &Token) -> Result<(), Error> {
        let sql = "INSERT INTO tokens (id, public_key, geography, site, approve, state, created_at, expires_at) VALUES (?1,?2,?3,?4,?5,'unused',?6,?7)";
        let values = params![t.id, t.public_key.as_slice(), t.geography, t.site, t.approve, t.created_at, t.expires_at];
        self.db().execute(sql, values).map_err(failed("add a token"))?;
        self.note(t.created_at, &t.id, "token created")
    }

    /// One token.
    pub fn token(&self, id: &str) -> Result<Option<Token>, Error> {
        let sql = format!("SELECT {TOKEN} FROM tokens WHERE id = ?1");
        self.db().query_row(&sql, [id], token).optional().map_err(failed("read a token"))
    }

    /// All tokens, newest first.
    pub fn tokens(&self) -> Result<Vec<Token>, Error> {
        let sql = format!("SELECT {TOKEN} FROM tokens ORDER BY created_at DESC, id");
        let db = self.db();
        let read = || db.prepare(&sql)?.query_map([], token)?.collect::<rusqlite::Result<Vec<Token>>>();
        read().map_err(failed("list tokens"))
    }

    /// Withdraws an unused token; false if there is none such.
    pub fn revoke_token(&self, id: &str, now: i64) -> Result<bool, Error> {
        let changed = self.db().execute("UPDATE tokens SET state = 'revoked' WHERE id = ?1 AND state = 'unused'", [id]).map_err(failed("revoke a token"))?;
        if changed == 1 {
            self.note(now, id, "token revoked")?;
        }
        Ok(changed == 1)
    }

    /// Uses a token for a device: one statement decides, so of racing devices exactly one gets the node.
    pub fn claim(&self, c: &Claim<'_>) -> Result<Option<Node>, Error> {
        let mut db = self.db();
        let mut run = || -> rusqlite::Result<Option<Node>> {
            let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let won = tx
                .query_row(
                    "UPDATE tokens SET state = 'used', spki = ?1, node = ?2, used_at = ?4
                     WHERE id = ?3 AND state = 'unused' AND expires_at > ?4 RETURNING geography, site, approve",
                    params![c.spki.as_slice(), c.node, c.token, c.now],
                    |r| Ok((r.get::<_, String>(0)?, r.get::<_, Option<String>>(1)?, r.get::<_, bool>(2)?)),
                )
                .optional()?;
            let Some((geography, site, approve)) = won else { return Ok(None) };
            let (state, accepted) = if approve { ("pending", None) } else { ("active", Some(c.now)) };
            let sql = format!(
                "INSERT INTO nodes (id, geography, site, spki, words, token, state, generation, confirmed, facts, enrolled_at, accepted_at)
                 VALUES (?1,?2,?3,?4,?5,?6,?7,1,0,?8,?9,?10) RETURNING {NODE}"
            );
            let values = params![c.node, geography, site, c.spki.as_slice(), c.words, c.token, state, c.facts, c.now, accepted];
            let made = tx.query_row(&sql, values, node)?;
            tx.execute("INSERT INTO events VALUES (?1, ?2, ?3)", params![c.now, c.node, format!("enrolled by token {}", c.token)])?;
            tx.commit()?;
            Ok(Some(made))
        };
        run().map_err(failed("use a token"))
    }

    /// One node.
    pub fn node(&self, id: &str) -> Result<Option<Node>, Error> {
        let sql = format!("SELECT {NODE} FROM nodes WHERE id = ?1");
        self.db().query_row(&sql, [id], node).optional().map_err(failed("read a node"))
    }

    /// All nodes, newest first.
    pub fn nodes(&self) -> Result<Vec<Node>, Error> {
        let sql = format!("SELECT {NODE} FROM nodes ORDER BY enrolled_at DESC, id");
        let db = self.db();
        let read = || db.prepare(&sql)?.query_map([], node)?.collect::<rusqlite::Result<Vec<Node>>>();
        read().map_err(failed("list nodes"))
    }

    /// Moves a node from one of `from` to `to`; false if it was in none of them.
    pub fn move_node(&self, id: &str, from: &[&str], to: &str, reason: &str, now: i64) -> Result<bool, Error> {
        let sql = "UPDATE nodes SET state = ?2, reason = ?3, accepted_at = CASE WHEN ?2 = 'active' THEN ?4 ELSE accepted_at END
                   WHERE id = ?1 AND instr(?5, ',' || state || ',') > 0";
        let values = params![id, to, reason, now, format!(",{},", from.join(","))];
        let changed = self.db().execute(sql, values).map_err(failed("change a node"))?;
        if changed == 1 {
            self.note(now, id, &format!("{to}: {reason}"))?;
        }
        Ok(changed == 1)
    }

    /// Remembers the certificate that was made for the first generation.
    pub fn certified(&self, id: &str, serial: &str, not_after: i64) -> Result<(), Error> {
        let sql = "UPDATE nodes SET serial = ?2, not_after = ?3 WHERE id = ?1";
        self.db().execute(sql, params![id, serial, not_after]).map(drop).map_err(failed("note a certificate"))
    }

    /// Notes that the node holds `generation`; false if the hub never gave it or has confirmed a later one.
    pub fn confirm(&self, id: &str, generation: i64, address: &str, now: i64) -> Result<bool, Error> {
        let sql = "UPDATE nodes SET confirmed = ?2, last_seen = ?3, last_address = ?4 WHERE id = ?1 AND state = 'active' AND generation = ?2";
        self.db().execute(sql, params![id, generation, now, address]).map(|n| n == 1).map_err(failed("confirm a node"))
    }

    /// Moves from `held` to `next` generation, if the node still stands where it was read.
    pub fn renew(&self, read: &Node, next: i64, serial: &str, not_after: i64, recovery: bool, now: i64) -> Result<bool, Error> {
        let sql = "UPDATE nodes SET generation = ?2, serial = ?3, not_after = ?4, last_seen = ?5, recoveries = recoveries + ?6
                   WHERE id = ?1 AND state = 'active' AND generation = ?7 AND confirmed = ?8";
        let values = params![read.id, next, serial, not_after, now, i64::from(recovery), read.generation, read.confirmed];
        let changed = self.db().execute(sql, values).map_err(failed("renew a node"))?;
        if changed == 1 {
            self.note(now, &read.id, &format!("certificate {next} issued"))?;
        }
        Ok(changed == 1)
    }

    /// Notes a heartbeat.
    pub fn seen(&self, id: &str, report: &str, address: &str, now: i64) -> Result<(), Error> {
        let sql = "UPDATE nodes SET last_seen = ?2, report = ?3, last_address = ?4 WHERE id = ?1 AND state = 'active'";
        self.db().execute(sql, params![id, now, report, address]).map(drop).map_err(failed("note a heartbeat"))
    }

    /// What happened to a token or node, oldest first.
    pub fn events(&self, subject: &str) -> Result<Vec<(i64, String)>, Error> {
        let db = self.db();
        let read = || {
            db.prepare("SELECT at, what FROM events WHERE subject = ?1 ORDER BY at, rowid")?
                .query_map([subject], |r| Ok((r.get(0)?, r.get(1)?)))?
                .collect::<rusqlite::Result<Vec<(i64, String)>>>()
        };
        read().map_err(failed("read events"))
    }

    fn note(&self, at: i64, subject: &str, what: &str) -> Result<(), Error> {
        self.db().execute("INSERT INTO events VALUES (?1, ?2, ?3)", params![at, subject, what]).map(drop).map_err(failed("note an event"))
    }
}

fn failed(doing: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |source| Error { doing, source }
}

fn token(r: &Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token {
        id: r.get(0)?,
        public_key: r.get(1)?,
        geography: r.get(2)?,
        site: r.get(3)?,
        approve: r.get(4)?,
        state: r.get(5)?,
        created_at: r.get(6)?,
        expires_at: r.get(7)?,
        used_at: r.get(8)?,
        spki: r.get(9)?,
        node: r.get(10)?,
    })
}

fn node(r: &Row<'_>) -> rusqlite::Result<Node> {
    Ok(Node {
        id: r.get(0)?,
        geography: r.get(1)?,
        site: r.get(2)?,
        spki: r.get(3)?,
        words: r.get(4)?,
        token: r.get(5)?,
        state: r.get(6)?,
        reason: r.get(7)?,
        generation: r.get(8)?,
        confirmed: r.get(9)?,
        serial: r.get(10)?,
        not_after: r.get(11)?,
        recoveries: r.get(12)?,
        facts: r.get(13)?,
        enrolled_at: r.get(14)?,
        accepted_at: r.get(15)?,
        last_seen: r.get(16)?,
        last_address: r.get(17)?,
        report: r.get(18)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_that_make_it_at_the_same_time_do_not_fail() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("hub.db");
            std::thread::scope(|s| {
                let all: Vec<_> = (0..4).map(|_| s.spawn(|| Hub::open(&path).map(drop))).collect();
                all.into_iter().for_each(|one| one.join().unwrap().unwrap());
            });
        }
    }
}
