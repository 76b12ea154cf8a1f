//! Decisions of the hub as functions of what it knows: who may renew, who may speak, who gets a lost reply again.

use crate::enroll::refusal::Refusal;
use crate::store::hub::Node;

/// How long a node may have been silent and still renew an expired certificate by itself: 90 days.
pub(super) const MAX_OFFLINE_S: i64 = 90 * 86_400;
/// How many expired certificates may be renewed without a person.
const MAX_RECOVERIES: i64 = 10;
/// How long the device that used a token may ask for the reply again: 24 hours.
const REPLY_AGAIN_S: i64 = 86_400;

/// What to do with a request for renewal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// Give the certificate of this generation.
    Give(i64),
    /// Two machines use the identity.
    Lock,
    /// Say no.
    Refuse(Refusal),
}

/// Judges a renewal of `node` by somebody who holds `generation`; `expired`: the certificate shown has ended.
pub(super) fn renewal(node: &Node, generation: i64, expired: bool, now: i64) -> Renewal {
    if expired {
        let silent = now.saturating_sub(node.last_seen.unwrap_or(node.enrolled_at));
        if silent > MAX_OFFLINE_S || node.recoveries >= MAX_RECOVERIES {
            let (days, times) = (silent / 86_400, node.recoveries);
            let detail = format!("the certificate has ended, the node was silent for {days} days and has recovered {times} times; it needs a new token");
            return Renewal::Refuse(Refusal::Policy { detail });
        }
    }
    if generation == node.generation {
        return Renewal::Give(generation + 1);
    }
    // The reply with the next generation was lost on the way or before it was on disk: the node asks again.
    if generation == node.generation - 1 && node.confirmed < node.generation {
        return Renewal::Give(node.generation);
    }
    if generation > node.generation {
        return Renewal::Refuse(Refusal::Policy { detail: format!("generation {generation} was never given; the hub's data is older than the node's") });
    }
    Renewal::Lock
}

/// Whether the state of a node lets it speak at all.
pub(super) fn standing(node: &Node) -> Result<(), Refusal> {
    match node.state.as_str() {
        "active" => Ok(()),
        "revoked" => Err(Refusal::Revoked { subject: "this node".into() }),
        "locked" => Err(Refusal::Locked { node: node.id.clone() }),
        "rejected" => Err(Refusal::Rejected { by: node.reason.clone().unwrap_or_else(|| "the hub's operator".into()) }),
        _ => Err(Refusal::Waiting { words: node.words.clone(), node: node.id.clone() }),
    }
}

/// Whether the device that used the token may have its first certificate again.
pub(super) fn again(node: &Node, now: i64) -> Result<(), Refusal> {
    standing(node)?;
    let since = now.saturating_sub(node.accepted_at.unwrap_or(node.enrolled_at));
    if node.generation == 1 && since <= REPLY_AGAIN_S {
        return Ok(());
    }
    Err(Refusal::AlreadyUsed { node: node.id.clone(), at: super::moment(node.enrolled_at) })
}

/// Whether a heartbeat of `generation` comes from the holder of the confirmed identity.
pub(super) fn heartbeat(node: &Node, generation: i64) -> Result<(), Refusal> {
    let detail = match generation {
        g if g == node.confirmed => return Ok(()),
        g if g < node.confirmed => "a newer copy of this identity is in use; renew",
        _ => "the identity is not confirmed",
    };
    Err(Refusal::Policy { detail: detail.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(generation: i64, confirmed: i64) -> Node {
        Node {
            id: "n".into(),
            geography: "DE".into(),
            site: None,
            spki: [0; 32],
            words: "a b c d".into(),
            token: "T".into(),
            state: "active".into(),
            reason: None,
            generation,
            confirmed,
            serial: None,
            not_after: None,
            recoveries: 0,
            facts: "{}".into(),
            enrolled_at: 0,
            accepted_at: Some(0),
            last_seen: Some(1_000),
            last_address: None,
            report: None,
        }
    }

    #[test]
    fn the_current_generation_renews_and_the_one_before_only_while_the_current_was_never_confirmed() {
        assert_eq!(renewal(&node(3, 3), 3, false, 2_000), Renewal::Give(4));
        assert_eq!(renewal(&node(3, 2), 3, false, 2_000), Renewal::Give(4));
        assert_eq!(renewal(&node(3, 2), 2, false, 2_000), Renewal::Give(3));
        assert_eq!(renewal(&node(3, 3), 2, false, 2_000), Renewal::Lock);
        assert_eq!(renewal(&node(3, 2), 1, false, 2_000), Renewal::Lock);
        assert!(matches!(renewal(&node(3, 3), 4, false, 2_000), Renewal::Refuse(_)));
    }

    #[test]
    fn an_expired_certificate_renews_within_ninety_days_and_ten_times() {
        assert_eq!(renewal(&node(1, 1), 1, true, 1_000 + MAX_OFFLINE_S), Renewal::Give(2));
        assert!(matches!(renewal(&node(1, 1), 1, true, 1_001 + MAX_OFFLINE_S), Renewal::Refuse(_)));
        let often = Node { recoveries: 10, ..node(1, 1) };
        assert!(matches!(renewal(&often, 1, true, 2_000), Renewal::Refuse(_)));
    }

    #[test]
    fn only_the_confirmed_generation_may_speak() {
        assert!(heartbeat(&node(2, 2), 2).is_ok());
        assert!(heartbeat(&node(3, 2), 2).is_ok());
        assert!(heartbeat(&node(2, 2), 1).is_err());
        assert!(heartbeat(&node(2, 1), 2).is_err());
        assert!(heartbeat(&node(1, 0), 1).is_err());
    }

    #[test]
    fn a_lost_reply_is_given_again_for_a_day_and_never_after_a_renewal() {
        assert!(again(&node(1, 0), REPLY_AGAIN_S).is_ok());
        assert_eq!(again(&node(1, 0), REPLY_AGAIN_S + 1).unwrap_err().code(), "ENR-105");
        assert_eq!(again(&node(2, 1), 10).unwrap_err().code(), "ENR-105");
        let revoked = Node { state: "revoked".into(), ..node(1, 1) };
        assert_eq!(again(&revoked, 10).unwrap_err().code(), "ENR-106");
    }
}
