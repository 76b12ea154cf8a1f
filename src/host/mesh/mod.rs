//! The encrypted way of the pods' packets between the hosts of a cluster: a WireGuard link, served by the kernel, or by a
//! process of ours where the kernel has none.
//!
//! Its life: while the host is alone there is nothing. When others belong to the cluster, [`apply`] makes the link, keys, address
//! and route; called again it mends what is missing and follows who came and went. The process, where one is needed, is started
//! by whoever runs the components. [`remove`] leaves nothing. It never decides who belongs to the cluster.

mod apply;
mod plan;

pub use apply::apply;
pub use plan::{POD_MTU, PORT};

use super::render::commands::{self, Component};
use super::settings::Settings;
use crate::config::layout::Layout;
use crate::pki::mesh as keys;
use crate::process::links;
use crate::status::Problem;
use nix::errno::Errno;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A host of the cluster, as the mesh sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name of its node.
    pub name: String,
    /// Its number in the cluster; decides its pods' addresses.
    pub index: u8,
    /// Where the other hosts reach it.
    pub address: Ipv4Addr,
    /// Its public key, base64.
    pub mesh_key: String,
}

/// Where WireGuard's tools look for a link that a process serves.
const SOCKETS: &str = "/var/run/wireguard";

/// Name of the link: fixed for the default root, otherwise made from the path, as the control group's.
pub fn link_name(layout: &Layout) -> String {
    match layout.cgroup().strip_prefix("antihate-") {
        Some(hash) => format!("ahm-{hash}"),
        None => "ah-mesh".into(),
    }
}

/// The socket through which the process is told what to do.
pub fn socket(layout: &Layout) -> PathBuf {
    Path::new(SOCKETS).join(format!("{}.sock", link_name(layout)))
}

/// The process that serves the link where [`needs_user_space`] says so.
pub fn component(s: &Settings) -> Component {
    commands::wireguard(s, link_name(&s.layout))
}

/// This host's public key; the key is made where there is none.
pub fn public_key(pki: &Path) -> Result<String, Problem> {
    Ok(key(pki)?.public)
}

fn key(pki: &Path) -> Result<keys::Pair, Problem> {
    let failed = |e: crate::pki::cluster::PkiError| {
        let cause = std::error::Error::source(&e).map_or_else(String::new, |s| s.to_string());
        Problem::new("MSH-101", e.to_string(), cause, "see that the data root is writable and has free space")
    };
    keys::ensure(pki).map_err(failed)
}

/// True where the kernel has no WireGuard: then [`component`] is to run. The kernel is asked once.
pub async fn needs_user_space() -> bool {
    static ASKED: OnceLock<bool> = OnceLock::new();
    if let Some(known) = ASKED.get() {
        return *known;
    }
    let probe = format!("ahp-{}", std::process::id());
    let made = links::with(async |l| {
        l.add_wireguard(&probe).await?;
        match l.link(&probe).await? {
            Some(link) => l.remove(link.index).await,
            None => Ok(()),
        }
    });
    let lacks = made.await.is_err_and(|e| matches!(e.errno(), Some(Errno::EOPNOTSUPP)));
    *ASKED.get_or_init(|| lacks)
}

/// Removes the link with its routes, and the socket of a process that was killed; blocks. What is not there is gone already.
pub fn remove(layout: &Layout) -> Result<(), Problem> {
    let name = link_name(layout);
    let done = links::blocking(async |l| match l.link(&name).await? {
        Some(link) => l.remove(link.index).await,
        None => Ok(()),
    });
    done.map_err(|e| apply::problem("MSH-105", &e, format!("remove it with `ip link delete {name}`")))?;
    drop(std::fs::remove_file(socket(layout)));
    // Only where no other link has its socket there.
    drop(std::fs::remove_dir(SOCKETS));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_root_has_a_link_of_its_own_whose_name_the_kernel_takes() {
        let (a, b) = (link_name(&Layout::new(Path::new("/tmp/a"))), link_name(&Layout::new(Path::new("/tmp/b"))));
        assert!(a != b && a.len() <= 15, "{a} {b}");
        assert_eq!(link_name(&Layout::new(Path::new(crate::config::layout::DEFAULT_DATA))), "ah-mesh");
    }
}
