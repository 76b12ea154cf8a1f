//! The name of this host on its local network: which one is asked for, who hears which one holds, and where that is kept.

use super::board::Board;
use super::mesh;
use crate::config::Resolved;
use crate::config::layout::Layout;
use crate::discovery::{Name, Outer, Responder};
use crate::manifests::network::is_pod;
use crate::setup::Told;
use crate::pki::mesh as mesh_keys;
use crate::task::Tasks;
use crate::web::address::is_outer;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::watch;

/// How a page is called among the services of a network.
const TITLE: &str = "Anti-Hate Node";

/// Starts to answer to the name of this host, where that is wanted and `page` can be reached by others. Returns the name that holds, or is asked for.
pub fn start(beside: &mut Tasks, layout: &Layout, wanted: &Resolved, page: SocketAddr) -> watch::Receiver<Option<String>> {
    if !wanted.settings.page.mdns || page.ip().is_loopback() {
        return watch::channel(None).1;
    }
    let kept = layout.data.join("mdns.json");
    let name = Name::recall(&kept, Name::wished(&label(layout, wanted)));
    let (tell, told) = watch::channel(Some(name.full()));
    let responder = Responder { name, title: TITLE.into(), port: page.port(), outer: outer(page.ip()) };
    let stop = beside.stop();
    beside.start("local-name", async move {
        let hold = |name: &Name| {
            tell.send_if_modified(|now| now.replace(name.full()) != *now);
            if let Err(e) = name.keep(&kept) {
                tracing::warn!(error = %e, "the name that holds cannot be kept");
            }
        };
        responder.run(hold, stop).await;
        Ok(())
    });
    told
}

/// The node's name where one was set, otherwise one made of its identity.
fn label(layout: &Layout, wanted: &Resolved) -> String {
    if let Some(name) = &wanted.settings.node.name {
        return name.clone();
    }
    // A disk that takes no key takes no node either: that is told at another place.
    let id = mesh::public_key(&layout.pki()).map(|key| mesh_keys::id(&key)).unwrap_or_default();
    format!("antihate-{}", id.get(..4).unwrap_or("node"))
}

/// Real links, without pods and the mesh; where the page listens at one address, that one.
fn outer(page: IpAddr) -> Outer {
    Arc::new(move |link: &str, ip: IpAddr| {
        let of_pod = matches!(ip, IpAddr::V4(v4) if is_pod(v4));
        is_outer(link, ip) && !of_pod && (page.is_unspecified() || page == ip)
    })
}

/// Carries what is told of the page to the board.
pub fn follow(beside: &mut Tasks, mut told: watch::Receiver<Told>, board: Board) {
    let until = beside.stop();
    beside.start("page-address", async move {
        loop {
            let now = told.borrow_and_update().at.clone();
            board.change(|status| status.page = Some(now));
            if told.changed().await.is_err() {
                break;
            }
        }
        until.cancelled().await;
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{HostFacts, Settings, Valid};

    #[test]
    fn a_node_without_a_name_is_called_after_its_identity_and_keeps_that() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let mut settings = Settings::default();
        let first = label(&layout, &Resolved::new(Valid::check(settings.clone()).unwrap(), HostFacts::example()));
        assert!(first.starts_with("antihate-") && first.len() == 13, "{first}");
        assert_eq!(label(&layout, &Resolved::new(Valid::check(settings.clone()).unwrap(), HostFacts::example())), first);
        settings.node.name = Some("leaf-7".into());
        assert_eq!(label(&layout, &Resolved::new(Valid::check(settings).unwrap(), HostFacts::example())), "leaf-7");
    }

    #[test]
    fn pods_mesh_and_loopback_are_not_told() {
        let all = outer("0.0.0.0".parse().unwrap());
        let ip = |s: &str| s.parse::<IpAddr>().unwrap();
        assert!(all("eth0", ip("192.0.2.10")) && all("wlan0", ip("2001:db8::7")));
        for (link, address) in [("lo", "192.0.2.10"), ("veth1234", "192.0.2.10"), ("cni0", "192.0.2.10"), ("ah-mesh", "192.0.2.10"), ("antihate-1", "192.0.2.10"), ("eth0", "10.42.0.1"), ("eth0", "fe80::1")] {
            assert!(!all(link, ip(address)), "{link} {address}");
        }
        let one = outer(ip("192.0.2.10"));
        assert!(one("eth0", ip("192.0.2.10")) && !one("eth1", ip("198.51.100.4")));
    }
}
