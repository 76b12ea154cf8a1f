//! Challenge and enrollment: a token and a device key become a node.

use super::{Hub, Peer, busy, decide, limits::Who, moment};
use crate::enroll::protocol::{Challenge, ChallengeRequest, EnrollRequest, Facts, JoinState, Membership, NONCE_TTL_S, signing_input};
use crate::enroll::refusal::Refusal;
use crate::enroll::words;
use crate::pki::enroll::{authority::Request, seed};
use crate::store::hub::{Claim, Node, Token};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A request whose signature was found good.
struct Signed {
    token: Token,
    csr: Request,
    facts: Facts,
    facts_text: String,
}

impl Hub {
    /// A nonce: the same kind of answer for known and unknown tokens.
    pub(super) fn challenge(&self, request: &ChallengeRequest) -> Challenge {
        let nonce = self.nonces.make(&request.id, self.now());
        Challenge { nonce: hex::encode(nonce), server_time: chrono::Utc::now(), ttl_s: NONCE_TTL_S }
    }

    /// Admits a device; true if it is new, false if it gets its lost reply again.
    pub(super) fn enroll(&self, request: EnrollRequest, peer: &Peer) -> Result<(bool, Membership), Refusal> {
        let now = self.now();
        let signed = self.signed(request, peer, now)?;
        allowed(&signed.token, &signed.facts)?;
        let (node, words) = (uuid::Uuid::new_v4().to_string(), words::of_spki(&signed.csr.spki()));
        let claim = Claim { token: &signed.token.id, node: &node, spki: signed.csr.spki_hash(), words: &words, facts: &signed.facts_text, now };
        let (new, node) = match self.store.claim(&claim).map_err(busy)? {
            Some(node) => {
                tracing::info!(node = node.id, token = node.token, address = %peer.address, state = node.state, "node enrolled");
                decide::standing(&node)?;
                (true, node)
            }
            None => (false, self.claimed(&signed, now)?),
        };
        self.certify(&node, 1, &signed.csr).map(|m| (new, m))
    }

    /// Checks everything that needs no decision: brake, nonce, signature, the request's own signature.
    fn signed(&self, request: EnrollRequest, peer: &Peer, now: i64) -> Result<Signed, Refusal> {
        let who = [Who::Address(peer.address.ip()), Who::Token(request.id.clone())];
        if let Some(retry_after_s) = who.iter().filter_map(|w| self.limits.wait(w, now)).max() {
            return Err(Refusal::SlowDown { retry_after_s });
        }
        let nonce = hex::decode(&request.nonce).ok().and_then(|n| n.try_into().ok()).filter(|n| self.nonces.fresh(&request.id, n, now));
        let stale = || Refusal::Busy { detail: "The challenge is too old or was answered before.".into() };
        let nonce = nonce.ok_or_else(stale)?;
        let token = self.store.token(&request.id).map_err(busy)?;
        let csr = STANDARD.decode(&request.csr).unwrap_or_default();
        let input = signing_input(&nonce, &csr, request.facts.as_bytes(), &peer.exporter);
        let sig = hex::decode(&request.sig).ok().and_then(|s| <[u8; 64]>::try_from(s).ok()).unwrap_or([0; 64]);
        // A wrong secret and an unknown identifier look the same from outside.
        let token = token.filter(|t| seed::verify(&t.public_key, &input, &sig)).ok_or_else(|| {
            who.into_iter().for_each(|w| self.limits.failed(w, now));
            tracing::warn!(token = %printable(&request.id), address = %peer.address, "enrollment with a wrong token");
            Refusal::Format { detail: "this hub did not issue it".into() }
        })?;
        if !self.nonces.spend(&nonce, now) {
            return Err(stale());
        }
        let csr = Request::read(&csr).map_err(|e| Refusal::Policy { detail: e.to_string() })?;
        let facts = serde_json::from_str(&request.facts).map_err(|_| Refusal::Policy { detail: "the facts cannot be read".into() })?;
        Ok(Signed { token, csr, facts, facts_text: request.facts })
    }

    /// The token was not free: says why, or finds the node that the same device already is.
    fn claimed(&self, signed: &Signed, now: i64) -> Result<Node, Refusal> {
        let token = self.store.token(&signed.token.id).map_err(busy)?.unwrap_or_else(|| signed.token.clone());
        let used_by = match (token.state.as_str(), token.node) {
            ("revoked", _) => return Err(Refusal::Revoked { subject: "the token".into() }),
            ("used", Some(node)) => node,
            _ => return Err(Refusal::Expired { at: moment(token.expires_at) }),
        };
        let other = Refusal::AlreadyUsed { node: used_by.clone(), at: moment(token.used_at.unwrap_or(now)) };
        if token.spki != Some(signed.csr.spki_hash()) {
            tracing::warn!(token = token.id, node = used_by, "a second device tried to use a token");
            return Err(other);
        }
        let node = self.store.node(&used_by).map_err(busy)?.ok_or(other)?;
        decide::again(&node, now).map(|()| node)
    }

    /// Makes the certificate of a generation and tells the node everything that it needs.
    pub(super) fn certify(&self, node: &Node, generation: i64, csr: &Request) -> Result<Membership, Refusal> {
        let issued = self.authority.issue(csr, &node.geography, &node.id, self.settings.node_life_s).map_err(|e| {
            tracing::error!(error = %e, node = node.id, "certificate");
            Refusal::Busy { detail: "It could not make a certificate.".into() }
        })?;
        if generation == 1 {
            self.store.certified(&node.id, &issued.serial, issued.not_after).map_err(busy)?;
        }
        Ok(Membership {
            node: node.id.clone(),
            geography: node.geography.clone(),
            site: node.site.clone(),
            chain: issued.chain,
            roots: vec![self.authority.root_pem().into()],
            join_state: JoinState { generation: u64::try_from(generation).unwrap_or(1) },
            heartbeat_s: self.settings.heartbeat_s,
            serial: issued.serial,
            not_before: moment(issued.not_before),
            not_after: moment(issued.not_after),
            server_time: chrono::Utc::now(),
        })
    }
}

/// What the token allows beside being a token. A refusal here does not use it up.
fn allowed(token: &Token, facts: &Facts) -> Result<(), Refusal> {
    if let Some(own) = facts.geography.as_deref().filter(|g| !g.eq_ignore_ascii_case(&token.geography)) {
        return Err(Refusal::Policy { detail: format!("the token is for geography {}, the node belongs to {}", token.geography, printable(own)) });
    }
    match (&token.site, &facts.site) {
        (Some(site), Some(own)) if site != own => {
            Err(Refusal::Policy { detail: format!("the token is for site {site}, the node stands at {}", printable(own)) })
        }
        _ => Ok(()),
    }
}

/// Foreign text for a log or message: short and without control characters.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}
