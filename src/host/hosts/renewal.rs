//! New certificates for a joined host, asked of a control plane with the present ones.

use super::super::place;
use crate::config::place::mesh_address;
use crate::host::settings::Settings;
use crate::join::{PORT, ask, protocol::RenewRequest};
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

/// Asks one control plane after the other; the first that answers is believed, for all of them prove the pinned key.
pub async fn renew(s: &Settings) -> Result<(), Problem> {
    let dir = s.layout.pki();
    let lost = |why: String| Problem::new("HST-106", "this host's keys cannot be used to ask for new ones", why, "Take it off with `antihate reset`, remove it with `antihate node remove` on a control-plane host, and join it again.");
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).map_err(|e| lost(format!("{name}: {e}")));
    let (chain, trusted) = (read("host.crt")?, read("trust.crt")?);
    let key = DeviceKey::load_or_create(&dir.join("host.key")).map_err(|e| lost(e.to_string()))?;
    let roots = certificates(&trusted).map_err(|e| lost(e.to_string()))?;
    let pin = roots.first().and_then(|root| spki_hash(root)).ok_or_else(|| lost("trust.crt names no authority".into()))?;
    let request = RenewRequest { address: s.node_ip };
    let mut last = lost("no control plane is known".into());
    let all = s.place.controls().map(|h| h.address).chain(s.place.controls().map(|h| mesh_address(h.index)));
    for address in all.collect::<Vec<_>>() {
        match ask::renew(SocketAddrV4::new(address, PORT), &pin, &key, &chain, &request).await {
            Ok(answer) => {
                joined::adopt(&dir, &answer.files).map_err(|e| lost(e.to_string()))?;
                let mut now = place::load(&s.layout)?;
                now.hosts = answer.hosts;
                place::save(&s.layout, &now)?;
                return Ok(());
            }
            Err(problem) => last = problem,
        }
    }
    Err(last)
}
