//! New certificates for a joined host, asked of a control plane with the present ones.

use super::super::place;
use super::keys::sum;
use crate::config::Place;
use crate::config::place::mesh_address;
use crate::host::settings::Settings;
use crate::join::ask::Member;
use crate::join::{PORT, protocol::RenewRequest};
use crate::pki::enroll::device::DeviceKey;
use crate::pki::enroll::{certificates, spki_hash};
use crate::pki::joined;
use crate::status::Problem;
use std::net::SocketAddrV4;
use time::OffsetDateTime;

/// Whether new certificates are needed: the present ones near their end, or name another address.
pub fn is_due(s: &Settings, now: OffsetDateTime) -> bool {
    let known = s.place.hosts.iter().find(|h| h.name == s.node);
    joined::is_due(&s.layout.pki(), now) || known.is_some_and(|h| h.address != s.node_ip)
}

fn lost(why: impl Into<String>) -> Problem {
    Problem::new("HST-106", "this host's keys cannot be used to ask for new ones", why, "Take it off with `antihate reset`, remove it with `antihate node remove` on a control-plane host, and join it again.")
}

/// This host, as it shows itself to control planes.
pub(super) fn member(s: &Settings) -> Result<Member, Problem> {
    let dir = s.layout.pki();
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).map_err(|e| lost(format!("{name}: {e}")));
    let (chain, trusted) = (read("host.crt")?, read("trust.crt")?);
    let key = DeviceKey::load_or_create(&dir.join("host.key")).map_err(|e| lost(e.to_string()))?;
    let pins: Vec<[u8; 32]> = certificates(&trusted).map_err(|e| lost(e.to_string()))?.iter().filter_map(|root| spki_hash(root)).collect();
    if pins.is_empty() { Err(lost("trust.crt names no authority")) } else { Ok(Member { pins, key, chain }) }
}

/// Where the other control planes answer, `first` before the others: by their addresses, then by the mesh.
pub(super) fn doors(s: &Settings, place: &Place, first: &str) -> Vec<SocketAddrV4> {
    let mut others: Vec<_> = place.controls().filter(|h| h.name != s.node).collect();
    others.sort_by_key(|h| h.name != first);
    let all = others.iter().map(|h| h.address).chain(others.iter().map(|h| mesh_address(h.index)));
    all.map(|address| SocketAddrV4::new(address, PORT)).collect()
}

/// Asks one control plane after the other; the first that answers is believed, for all of them prove a key that is trusted here.
/// While the authority is changed, only one that trusts what is wanted, as its sum says.
pub async fn renew(s: &Settings, trust: Option<&str>) -> Result<(), Problem> {
    let (dir, member, place) = (s.layout.pki(), member(s)?, place::load(&s.layout)?);
    let request = RenewRequest { address: s.node_ip };
    let mut last = lost("no control plane is known");
    for door in doors(s, &place, "") {
        match member.renew(door, &request).await {
            Ok(answer) if trust.is_some_and(|wanted| answer.files.get("trust.crt").is_none_or(|text| sum(text) != wanted)) => last = super::keys::behind(door),
            Ok(answer) => {
                joined::adopt(&dir, &answer.files).map_err(|e| lost(e.to_string()))?;
                return place::save(&s.layout, &Place { hosts: answer.hosts, ..place }).map(drop);
            }
            Err(problem) => last = problem,
        }
    }
    Err(told(last))
}

/// Why control planes do not know this host any more; nothing while one of them does, or all are silent. Changes nothing: it asks for
/// what a host without a control plane is not given.
pub(super) async fn refusal(s: &Settings) -> Option<Problem> {
    let (member, place) = (member(s).ok()?, place::load(&s.layout).ok()?);
    for door in doors(s, &place, "") {
        match member.share(door).await {
            Err(problem) if ["JOI-116", "JOI-109"].contains(&problem.code.as_str()) => return Some(told(problem)),
            Err(problem) if problem.code != "JOI-122" => {}
            _ => return None,
        }
    }
    None
}

/// What a refusal means for this host.
pub(super) fn told(problem: Problem) -> Problem {
    let again = "On a control-plane host, `antihate node remove` this host if it is still listed; here, `antihate reset`, then join with a new code.";
    match problem.code.as_str() {
        "JOI-116" => super::removed(problem.cause),
        "JOI-109" => Problem::new("HST-111", "the cluster has an authority that this host does not trust", "its authority was changed while this host was away, and this host was removed meanwhile; or something between the hosts opens TLS", again),
        _ => problem,
    }
}
