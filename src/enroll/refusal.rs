//! The catalogue ENR-101 to ENR-115: every way in which enrollment can fail, with cause and next step.
//!
//! The same value travels from hub to node and is shown word for word on page, command line and in the log.

use crate::status::Problem;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Why a node is not, or no longer, enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code")]
pub enum Refusal {
    /// The token cannot be read, or the hub does not know it.
    #[serde(rename = "ENR-101")]
    #[error("the enrollment token is not valid: {detail}")]
    Format { detail: String },
    /// The checksum of the token is wrong.
    #[serde(rename = "ENR-102")]
    #[error("the enrollment token contains a typing error")]
    Checksum,
    /// The token belongs to another geography.
    #[serde(rename = "ENR-103")]
    #[error("the token is for geography {token}, this node belongs to {node}")]
    OtherGeography { token: String, node: String },
    /// The token's time is over.
    #[serde(rename = "ENR-104")]
    #[error("the token expired at {at}")]
    Expired { at: DateTime<Utc> },
    /// Another device was quicker.
    #[serde(rename = "ENR-105")]
    #[error("the token was already used by node {node} at {at}")]
    AlreadyUsed { node: String, at: DateTime<Utc> },
    /// Token or node was revoked.
    #[serde(rename = "ENR-106")]
    #[error("{subject} was revoked at the hub")]
    Revoked { subject: String },
    /// The other end is not the hub of the token.
    #[serde(rename = "ENR-107")]
    #[error("the server at {hub} is not the hub that the token names")]
    NotTheHub { hub: String, detail: String },
    /// No connection.
    #[serde(rename = "ENR-108")]
    #[error("cannot reach {hub} ({stage})")]
    Unreachable { hub: String, stage: Stage, detail: String },
    /// The clock of this machine is wrong.
    #[serde(rename = "ENR-109")]
    #[error("the clock of this machine is {} the hub's by {}", if *skew_s < 0 { "behind" } else { "ahead of" }, span(skew_s.unsigned_abs()))]
    Clock { skew_s: i64, hub_time: DateTime<Utc> },
    /// A person has to accept this node.
    #[serde(rename = "ENR-110")]
    #[error("waiting for approval at the hub; the words of this node are: {words}")]
    Waiting { words: String, node: String },
    /// A person refused this node.
    #[serde(rename = "ENR-111")]
    #[error("this node was rejected by {by}")]
    Rejected { by: String },
    /// Too many attempts.
    #[serde(rename = "ENR-112")]
    #[error("the hub asks to slow down for {}", span(*retry_after_s))]
    SlowDown { retry_after_s: u64 },
    /// Two machines use one identity.
    #[serde(rename = "ENR-113")]
    #[error("this node is locked: two machines use its identity")]
    Locked { node: String },
    /// The hub cannot answer now.
    #[serde(rename = "ENR-114")]
    #[error("the hub cannot answer now")]
    Busy { detail: String },
    /// What the token allows does not fit the node, or the request does not fit the state.
    #[serde(rename = "ENR-115")]
    #[error("the hub's policy does not allow this: {detail}")]
    Policy { detail: String },
}

/// Where a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The name has no address.
    Dns,
    /// Nothing answers at the address.
    Tcp,
    /// The encrypted connection was not made.
    Tls,
    /// The connection broke, or the answer was not one of a hub.
    Http,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stage::Dns => "name look-up",
            Stage::Tcp => "connection",
            Stage::Tls => "encryption",
            Stage::Http => "exchange",
        })
    }
}

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Format { .. } => "ENR-101",
            Refusal::Checksum => "ENR-102",
            Refusal::OtherGeography { .. } => "ENR-103",
            Refusal::Expired { .. } => "ENR-104",
            Refusal::AlreadyUsed { .. } => "ENR-105",
            Refusal::Revoked { .. } => "ENR-106",
            Refusal::NotTheHub { .. } => "ENR-107",
            Refusal::Unreachable { .. } => "ENR-108",
            Refusal::Clock { .. } => "ENR-109",
            Refusal::Waiting { .. } => "ENR-110",
            Refusal::Rejected { .. } => "ENR-111",
            Refusal::SlowDown { .. } => "ENR-112",
            Refusal::Locked { .. } => "ENR-113",
            Refusal::Busy { .. } => "ENR-114",
            Refusal::Policy { .. } => "ENR-115",
        }
    }

    /// Whether trying again later, with nothing changed on this node, can succeed.
    pub fn passes(&self) -> bool {
        matches!(
            self,
            Refusal::Unreachable { .. } | Refusal::Clock { .. } | Refusal::Waiting { .. } | Refusal::SlowDown { .. } | Refusal::Busy { .. } | Refusal::NotTheHub { .. }
        )
    }

    /// The HTTP status by which the hub says it.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::Waiting { .. } => 202,
            Refusal::Policy { .. } | Refusal::Rejected { .. } | Refusal::OtherGeography { .. } | Refusal::Locked { .. } => 403,
            Refusal::AlreadyUsed { .. } => 409,
            Refusal::Expired { .. } | Refusal::Revoked { .. } => 410,
            Refusal::SlowDown { .. } => 429,
            Refusal::Busy { .. } | Refusal::Unreachable { .. } => 503,
            _ => 422,
        }
    }

    /// As it is shown to a person.
    pub fn problem(&self) -> Problem {
        let (cause, next) = self.explanation();
        Problem::new(self.code(), capital(&self.to_string()), cause, next)
    }

    /// Cause and next step.
    fn explanation(&self) -> (String, String) {
        let (cause, next): (&str, &str) = match self {
            Refusal::Format { .. } => ("It was cut off, something else was pasted, or another hub made it.", "Copy the whole token, from AHN1 to its last character, and try again. If it still fails, ask the hub's operator for a new one."),
            Refusal::Checksum => ("At least one character differs from the token that the hub printed. Nothing was sent.", "Paste the token instead of typing it, or compare it character by character."),
            Refusal::OtherGeography { .. } => ("A token enrolls only into the geography that it was made for. Nothing was sent.", "Ask the operator of the right hub for a token, or change the node's geography."),
            Refusal::Expired { .. } => ("Tokens are valid for a limited time, by default 24 hours.", "Ask the hub's operator for a new one: antihate hub token create."),
            Refusal::AlreadyUsed { .. } => ("A token enrolls one device. If that node is not yours, somebody else has read the token.", "If you know that node, ask for a new token. If you do not, tell the hub's operator at once to revoke it: antihate hub node revoke."),
            Refusal::Revoked { .. } => ("An operator of the hub withdrew it. The node sends nothing any more; what it stored stays here.", "Ask the hub's operator for the reason, and for a new token if the node is to return."),
            Refusal::NotTheHub { detail, .. } => return (format!("Its certificate does not match the pin in the token: {detail}. Either your network opens encrypted connections, or the address leads to another server. Nothing secret was sent."), "Ask the network's administrator to exempt this host from inspection, or check the address with the hub's operator.".into()),
            Refusal::Unreachable { hub, stage, detail } => return (detail.clone(), unreachable_next(*stage, hub)),
            Refusal::Clock { hub_time, .. } => return ("The hub's certificate matches the token, but is not valid at the time that this machine believes to be now.".into(), format!("Set the clock, for example: date -u -s '{}'. Then try again.", hub_time.format("%Y-%m-%d %H:%M:%S"))),
            Refusal::Waiting { node, .. } => return ("The token asks for a person's consent.".into(), format!("Read the four words to the hub's operator, who compares them and runs: antihate hub node accept {node}. This node keeps asking.")),
            Refusal::Rejected { .. } => ("An operator of the hub decided against this node.", "Ask the operator for the reason. A new token is needed to try again."),
            Refusal::SlowDown { .. } => ("There were too many failed attempts from this address or for this token.", "Wait; this node tries again by itself."),
            Refusal::Locked { .. } => ("The hub saw an outdated copy of this node's identity: a disk was cloned or restored.", "Decide which machine is the real one, then ask the hub's operator for a new token for it and enroll it again."),
            Refusal::Busy { detail } => return (detail.clone(), "Wait; this node tries again by itself.".into()),
            Refusal::Policy { .. } => ("The token, or the node's standing at the hub, limits what it may do.", "Show this message to the hub's operator."),
        };
        (cause.into(), next.into())
    }
}

fn unreachable_next(stage: Stage, hub: &str) -> String {
    let (host, port) = hub.rsplit_once(':').unwrap_or((hub, "443"));
    match stage {
        Stage::Dns => format!("Check the network and the name server of this machine: getent hosts {host}. The node goes on without the hub and tries again."),
        _ => format!("Check the cable, the route and the firewall between here and {host}, port {port}. The node goes on without the hub and tries again."),
    }
}

/// A length of time in the two largest fitting units.
fn span(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (name, size) in units {
        if rest >= size {
            parts.push(format!("{} {name}", rest / size));
            rest %= size;
        }
    }
    if parts.is_empty() { "0 s".into() } else { parts.join(" ") }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|c| c.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each, in order.
    pub(crate) fn all() -> Vec<Refusal> {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let hub = || "hub.example:8443".to_string();
        vec![
            Refusal::Format { detail: "it has no parts".into() },
            Refusal::Checksum,
            Refusal::OtherGeography { token: "DE".into(), node: "FR".into() },
            Refusal::Expired { at },
            Refusal::AlreadyUsed { node: "4c1f".into(), at },
            Refusal::Revoked { subject: "the token".into() },
            Refusal::NotTheHub { hub: hub(), detail: "no certificate of its chain has the pinned key".into() },
            Refusal::Unreachable { hub: hub(), stage: Stage::Dns, detail: "The name has no address.".into() },
            Refusal::Clock { skew_s: -90_061, hub_time: at },
            Refusal::Waiting { words: "amber birch cobalt delta".into(), node: "4c1f".into() },
            Refusal::Rejected { by: "operator".into() },
            Refusal::SlowDown { retry_after_s: 60 },
            Refusal::Locked { node: "4c1f".into() },
            Refusal::Busy { detail: "Its database did not answer.".into() },
            Refusal::Policy { detail: "the token is for site north".into() },
        ]
    }

    #[test]
    fn the_catalogue_is_complete_numbered_in_order_and_explains_each_entry() {
        for (at, refusal) in all().into_iter().enumerate() {
            assert_eq!(refusal.code(), format!("ENR-{}", 101 + at));
            let problem = refusal.problem();
            assert!(problem.what.len() > 20 && problem.cause.len() > 20 && problem.next.len() > 20, "{problem:?}");
            let sent = serde_json::to_value(&refusal).unwrap();
            assert_eq!(sent["code"], refusal.code());
            assert_eq!(serde_json::from_value::<Refusal>(sent).unwrap(), refusal);
        }
    }

    #[test]
    fn a_skew_is_told_exactly() {
        let behind = &all()[8];
        assert_eq!(behind.to_string(), "the clock of this machine is behind the hub's by 1 d 1 h 1 min 1 s");
    }
}
