//! What this host itself needs of IPv6, where pods have such addresses: the kernel's settings, an address of its own, and the services'
//! network.
//!
//! Its life: made at every start, before anything could ask for it; [`remove`] leaves none of it, whatever the node was. Switches of
//! the kernel stay as they are then, as `ip_forward` does. It never touches addresses of the host's own links.

use super::settings::{SERVICE_CIDR6, service_network6};
use crate::process::links::{self, LinkError};
use crate::status::Problem;
use std::io;
use std::net::Ipv6Addr;
use std::path::Path;

/// A folder for each link, and two for all of them and for those to come.
const SETTINGS: &str = "/proc/sys/net/ipv6/conf";

/// Makes `own` this host's address, has packets routed, and sends what goes to services through the packet filter.
pub fn make(own: Ipv6Addr) -> Result<(), Problem> {
    switches(Path::new(SETTINGS)).map_err(|e| Problem::new("PRE-108", "this host cannot have IPv6", e.to_string(), "Boot the kernel with IPv6 (without `ipv6.disable=1`), or begin anew with `stack = \"ipv4\"`."))?;
    let lo = lo()?;
    let made = links::blocking(async |l| {
        l.add_address6(lo, own).await?;
        l.own(lo, service_network6()).await
    });
    made.map_err(|e| problem("PRE-110", &e, "see that the link `lo` is up, then start again"))
}

/// Takes away what [`make`] gave to any host number; what is not there is gone already.
pub fn remove(own: Ipv6Addr) -> Result<(), Problem> {
    let lo = lo()?;
    let gone = links::blocking(async |l| {
        l.disown(lo, service_network6()).await?;
        l.remove_address6(lo, own).await
    });
    gone.map_err(|e| problem("RST-110", &e, &format!("remove {own} and {SERVICE_CIDR6} from `lo` with `ip -6`, then reset again")))
}

/// Pods' links get IPv6, and packets are routed between them. A host that learns its own default route from its router goes on to
/// do so: a kernel that routes would not listen any more unless it is told to.
fn switches(settings: &Path) -> io::Result<()> {
    for folder in std::fs::read_dir(settings)? {
        let accept = folder?.path().join("accept_ra");
        if std::fs::read_to_string(&accept).is_ok_and(|now| now.trim() == "1") {
            std::fs::write(&accept, "2")?;
        }
    }
    for (name, wanted) in [("default/disable_ipv6", "0"), ("lo/disable_ipv6", "0"), ("all/forwarding", "1")] {
        let path = settings.join(name);
        if std::fs::read_to_string(&path)?.trim() != wanted {
            std::fs::write(&path, wanted)?;
        }
    }
    Ok(())
}

fn lo() -> Result<u32, Problem> {
    nix::net::if_::if_nametoindex("lo").map_err(|e| Problem::new("PRE-110", "this host has no link `lo`", e.to_string(), "start it again: every Linux host has one"))
}

fn problem(code: &str, e: &LinkError, next: &str) -> Problem {
    let cause = std::error::Error::source(e).map_or_else(String::new, |s| s.to_string());
    Problem::new(code, e.to_string(), cause, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_routed_and_routers_are_still_listened_to() {
        let dir = tempfile::tempdir().unwrap();
        for (link, accept) in [("all", "1"), ("default", "1"), ("lo", "1"), ("eth0", "1"), ("eth1", "0")] {
            std::fs::create_dir(dir.path().join(link)).unwrap();
            for (name, value) in [("accept_ra", accept), ("disable_ipv6", "1"), ("forwarding", "0")] {
                std::fs::write(dir.path().join(link).join(name), format!("{value}\n")).unwrap();
            }
        }
        switches(dir.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap().trim().to_owned();
        assert_eq!(["eth0/accept_ra", "eth1/accept_ra", "all/forwarding", "lo/disable_ipv6", "eth0/disable_ipv6"].map(read), ["2", "0", "1", "0", "1"]);
        assert!(switches(&dir.path().join("nothing")).is_err(), "a kernel without IPv6");
    }
}
