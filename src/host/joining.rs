//! Makes this host a joined one: asks the control plane of a code, and writes what it gets. Killed anywhere, the same code serves
//! this host again within its hour.

use super::place;
use super::settings::Settings;
use crate::config::Place;
use crate::config::layout::Layout;
use crate::join::ask;
use crate::join::code::Code;
use crate::join::protocol::Facts;
use crate::pki::joined;
use crate::status::Problem;

/// Refuses a host that is a cluster already: its posts and keys would be mixed with another's.
pub fn is_free(layout: &Layout) -> Result<(), Problem> {
    let begun = [layout.pki().join("ca.crt"), super::heal::database(layout), layout.etcd().join("member")].into_iter().find(|p| p.exists());
    match begun {
        Some(there) if !place::load(layout)?.is_joined() => {
            let cause = format!("{} is there", there.display());
            Err(Problem::new("JOI-110", "this host is a node of its own already", cause, "Take it off with `antihate reset`, then join. Its posts go with it: export what is to be kept first."))
        }
        _ => Ok(()),
    }
}

/// Joins, unless it has joined already; the place of this host.
pub async fn join(s: &Settings, code: &Code, mesh_key: String, kubernetes: &str, tell: &dyn Fn(&str)) -> Result<Place, Problem> {
    let present = place::load(&s.layout)?;
    if present.is_joined() {
        return Ok(present);
    }
    let facts = Facts { name: s.node.clone(), address: s.node_ip, mesh_key, version: env!("CARGO_PKG_VERSION").into(), kubernetes: kubernetes.into() };
    let answer = ask::join(code, &facts, tell).await?;
    let failed = |e: crate::pki::cluster::PkiError| {
        let cause = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
        Problem::new("JOI-120", e.to_string(), cause, "See that the data root is writable and has free space, then join again with the same code.")
    };
    joined::adopt(&s.layout.pki(), &answer.files).map_err(failed)?;
    // Last: with it this host is joined.
    place::save(&s.layout, &answer.place)?;
    Ok(answer.place)
}
