//! The open way of the pods' packets between the hosts of a cluster, kept by flannel: the network's own ways on one segment, VXLAN
//! between segments. Nothing is encrypted: it is for networks on which nobody else can listen.
//!
//! Its life: while the host is alone there is nothing. When others belong to the cluster, flannel runs as one of the components and
//! makes link and routes; [`apply`] looks whether they are there, takes away what leads to nobody, and starts flannel anew where
//! something that was there is missing, because flannel itself does not look again. [`remove`] leaves nothing.

mod look;

pub use look::Seen;

use super::mesh::Member;
use super::settings::Settings;
use crate::config::layout::Layout;
use crate::process::links::{self, Kind, LinkError, Links};
use crate::process::scan;
use crate::status::Problem;
use nix::sys::signal::Signal;

/// Its name among the components.
pub const NAME: &str = "flanneld";
/// Number of the network inside the wrapping; names the link. Not 1, which is what any other flannel on the host would take.
pub const VNI: u32 = 42;
/// The link that wraps packets for other segments.
pub const LINK: &str = "flannel.42";
/// UDP port at which wrapped packets arrive.
pub const PORT: u16 = 8472;
/// Bytes that the wrapping adds to a packet.
const OVERHEAD: u32 = 50;
/// Largest packet of a pod: what fits, wrapped, through an ordinary network.
pub const POD_MTU: u32 = 1500 - OVERHEAD;

/// Sees that the ways to the other `members` are there, this host being the one of its own name among them. Returns a short remark.
pub async fn apply(settings: &Settings, members: &[Member], seen: &mut Seen) -> Result<String, Problem> {
    let own = members.iter().find(|m| m.name == settings.node);
    // What is left of it goes when the components start anew without flannel, which would make it again.
    let Some(own) = own.filter(|_| members.len() > 1) else { return Ok("alone".into()) };
    let look = links::with(async |l| {
        let link = l.link(LINK).await?.filter(|link| link.kind == Kind::Vxlan);
        let look = look::look(own, members, link, &l.routes().await?);
        for stale in &look.stale {
            l.remove_route(stale).await?;
        }
        Ok(look)
    });
    let look = look.await.map_err(|e| kernel(&e))?;
    if let Some(lost) = seen.lost(&look) {
        tracing::warn!(lost, "flannel is started anew: it does not see itself that a way is missing");
        start_anew(&settings.layout);
    }
    if look.link.is_none() {
        return Err(Problem::new("FLN-102", format!("there is no link {LINK} of flannel yet"), "flannel has not made it", "wait: it is tried again; otherwise see `antihate logs flanneld`: the kernel needs VXLAN"));
    }
    Ok(look.remark())
}

/// Ends the process; its supervisor starts it again, and it makes all ways anew.
fn start_anew(layout: &Layout) {
    scan::marked(&layout.data).iter().filter(|p| p.name == NAME).for_each(|p| scan::send(p.pid, Signal::SIGTERM));
}

/// Removes the link and every way to pods of other hosts.
async fn dissolve(l: &Links) -> Result<(), LinkError> {
    let link = l.link(LINK).await?.filter(|link| link.kind == Kind::Vxlan);
    for route in l.routes().await?.iter().filter(|r| look::is_ours(r, link.as_ref())) {
        l.remove_route(route).await?;
    }
    match link {
        Some(link) => l.remove(link.index).await,
        None => Ok(()),
    }
}

/// Removes all of it; blocks. What is not there is gone already.
pub fn remove() -> Result<(), Problem> {
    let next = format!("remove it with `ip link delete {LINK}` and `ip route delete`");
    links::blocking(dissolve).map_err(|e| problem("FLN-103", &e, next))
}

fn kernel(e: &LinkError) -> Problem {
    problem("FLN-101", e, "nothing to do at once: it is tried again; the host needs root and network administration (CAP_NET_ADMIN)".into())
}

fn problem(code: &str, e: &LinkError, next: String) -> Problem {
    let cause = std::error::Error::source(e).map_or_else(String::new, |s| s.to_string());
    Problem::new(code, e.to_string(), cause, next)
}
