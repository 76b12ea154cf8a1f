//! Life after enrollment: confirm, heartbeat, renew; each looks up the node's state first.

use super::decide::{self, Renewal};
use super::{Hub, Peer, busy};
use crate::enroll::protocol::{Accepted, ConfirmRequest, Heartbeat, Membership, RenewRequest};
use crate::enroll::refusal::Refusal;
use crate::pki::enroll::authority::Request;
use crate::store::hub::Node;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

impl Hub {
    /// The node behind a connection, if it may speak; and whether its certificate has ended.
    fn member(&self, peer: &Peer) -> Result<(Node, bool), Refusal> {
        let unknown = || Refusal::Policy { detail: "the request needs the certificate of a node".into() };
        let shown = peer.node.as_ref().ok_or_else(unknown)?;
        // The certificate alone is not enough: the hub must know the node, and with this very key.
        let node = self.store.node(&shown.node).map_err(busy)?.filter(|n| n.spki == shown.spki).ok_or_else(unknown)?;
        decide::standing(&node)?;
        Ok((node, shown.not_after <= self.now()))
    }

    fn current(&self, peer: &Peer) -> Result<Node, Refusal> {
        match self.member(peer)? {
            (_, true) => Err(Refusal::Policy { detail: "the certificate has ended; renew it first".into() }),
            (node, false) => Ok(node),
        }
    }

    fn accepted(&self) -> Accepted {
        Accepted { server_time: chrono::Utc::now(), heartbeat_s: self.settings.heartbeat_s }
    }

    /// The node has its identity on disk; from now on it may send.
    pub(super) fn confirm(&self, request: &ConfirmRequest, peer: &Peer) -> Result<Accepted, Refusal> {
        let node = self.current(peer)?;
        let generation = i64::try_from(request.generation).unwrap_or(i64::MAX);
        match self.store.confirm(&node.id, generation, &peer.address.to_string(), self.now()).map_err(busy)? {
            true => Ok(self.accepted()),
            false => Err(Refusal::Policy { detail: format!("generation {} is not the one that was given last", request.generation) }),
        }
    }

    /// The node says how it fares.
    pub(super) fn heartbeat(&self, beat: &Heartbeat, peer: &Peer) -> Result<Accepted, Refusal> {
        let node = self.current(peer)?;
        decide::heartbeat(&node, i64::try_from(beat.generation).unwrap_or(i64::MAX))?;
        let report = serde_json::to_string(&beat.report).unwrap_or_default();
        self.store.seen(&node.id, &report, &peer.address.to_string(), self.now()).map_err(busy)?;
        Ok(self.accepted())
    }

    /// The next certificate for the same key.
    pub(super) fn renew(&self, request: &RenewRequest, peer: &Peer) -> Result<Membership, Refusal> {
        let (node, expired) = self.member(peer)?;
        let now = self.now();
        let csr = Request::read(&STANDARD.decode(&request.csr).unwrap_or_default()).map_err(|e| Refusal::Policy { detail: e.to_string() })?;
        if csr.spki_hash() != node.spki {
            return Err(Refusal::Policy { detail: "the request is for another key than the node's".into() });
        }
        match decide::renewal(&node, i64::try_from(request.generation).unwrap_or(i64::MAX), expired, now) {
            Renewal::Refuse(refusal) => Err(refusal),
            Renewal::Lock => {
                let why = format!("generation {} came back although {} is in use", request.generation, node.confirmed);
                self.store.move_node(&node.id, &["active"], "locked", &why, now).map_err(busy)?;
                tracing::error!(node = node.id, address = %peer.address, "locked: two machines use this identity");
                Err(Refusal::Locked { node: node.id })
            }
            Renewal::Give(next) => {
                let membership = self.certify(&node, next, &csr)?;
                let stored = self.store.renew(&node, next, &membership.serial, membership.not_after.timestamp(), expired, now).map_err(busy)?;
                let moved = || Refusal::Busy { detail: "Two renewals of this node met.".into() };
                stored.then_some(membership).ok_or_else(moved)
            }
        }
    }
}
