//! What a control plane sees to, beside its own components: addresses that have changed, members of etcd that have caught up, nodes
//! of hosts that were removed, and that every node says which addresses its pods have.

use super::etcd;
use crate::cluster::Cluster;
use crate::cluster::nodes::NodeSeen;
use crate::config::Place;
use crate::config::place::{Datastore, Host};
use crate::files;
use crate::host::place;
use crate::host::render::control::{AUTHORIZATION, authorization};
use crate::host::settings::Settings;
use crate::join::registry;
use crate::status::Problem;

/// A round in so many looks asks for everything, whatever is known.
const EVERY: u32 = 12;
/// Nodes are asked for at every so manieth look.
const NODES: u32 = 3;

/// What was seen to.
#[derive(Default)]
pub struct Tended {
    rounds: u32,
    /// So many members of etcd have their vote.
    voting: usize,
    /// So many nodes say which addresses their pods have.
    ranged: usize,
}

/// What is to be changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Changes {
    /// Hosts whose node has another address than the list says.
    pub moved: Vec<Host>,
    /// Nodes of hosts that do not belong to the cluster.
    pub strange: Vec<String>,
    /// Nodes that do not say yet which addresses their pods have, with the number of their host.
    pub unranged: Vec<(String, u8)>,
}

/// Decides it.
pub fn decide(hosts: &[Host], nodes: &[NodeSeen]) -> Changes {
    let node = |h: &Host| nodes.iter().find(|n| n.name == h.name);
    let moved = hosts.iter().filter_map(|h| Some(Host { address: node(h)?.address.filter(|a| *a != h.address)?, ..h.clone() })).collect();
    let strange = nodes.iter().filter(|n| !hosts.iter().any(|h| h.name == n.name)).map(|n| n.name.clone()).collect();
    let unranged = hosts.iter().filter(|h| node(h).is_some_and(|n| !n.ranged)).map(|h| (h.name.clone(), h.index)).collect();
    Changes { moved, strange, unranged }
}

impl Tended {
    /// Sees to it.
    pub async fn round(&mut self, settings: &Settings, now: &Place, cluster: &Cluster) -> Result<(), Problem> {
        self.rounds += 1;
        let controls = now.controls().count();
        if now.datastore == Datastore::Etcd && settings.place.datastore == Datastore::Etcd && (self.voting != controls || self.rounds.is_multiple_of(EVERY)) {
            let layout = settings.layout.clone();
            let all = tokio::task::spawn_blocking(move || etcd::promote(&layout)).await.unwrap_or(Ok(false))?;
            super::member::has_worked(&settings.layout);
            self.voting = if all { controls } else { 0 };
        }
        if now.hosts.is_empty() || (self.rounds % NODES != 1 && self.ranged == now.hosts.len()) {
            return Ok(());
        }
        turn_away(settings, now, cluster).await?;
        let nodes = cluster.nodes().await.map_err(|e| e.problem())?;
        let changes = decide(&now.hosts, &nodes);
        for (name, index) in changes.unranged {
            cluster.range_node(&name, &now.stack.pod_ranges(index)).await.map_err(|e| e.problem())?;
        }
        self.ranged = nodes.iter().filter(|n| n.ranged).count();
        for moved in changes.moved {
            tracing::info!(host = %moved.name, address = %moved.address, "a host has another address");
            registry::change_hosts(cluster, |hosts| {
                hosts.iter_mut().filter(|h| h.name == moved.name).for_each(|h| h.address = moved.address);
                Ok(())
            })
            .await?;
        }
        for name in changes.strange {
            tracing::warn!(node = %name, "a node of a host that does not belong to the cluster is removed");
            cluster.delete_node(&name).await.map_err(|e| e.problem())?;
        }
        Ok(())
    }
}

/// Has this host's API server turn away the hosts that were removed.
async fn turn_away(settings: &Settings, now: &Place, cluster: &Cluster) -> Result<(), Problem> {
    let gone: Vec<String> = registry::removed(cluster).await?.into_iter().map(|r| r.id).collect();
    if gone == now.gone {
        return Ok(());
    }
    let now = Place { gone, ..now.clone() };
    place::save(&settings.layout, &now)?;
    let path = settings.etc(AUTHORIZATION);
    let text = authorization(&Settings { place: now, ..settings.clone() });
    let written = files::replace_if_changed(&path, text.as_bytes(), 0o600);
    written.map(drop).map_err(|e| Problem::new("HST-114", format!("{} cannot be written", path.display()), e.to_string(), "See that the data root is writable and has free space."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_follows_the_node_and_a_node_without_a_host_goes() {
        let host = |name: &str, last: u8| Host { name: name.into(), index: last, address: [192, 0, 2, last].into(), pools: [].into(), control: false, mesh_key: String::new(), version: String::new() };
        let node = |name: &str, last: Option<u8>| NodeSeen { name: name.into(), address: last.map(|l| [192, 0, 2, l].into()), ranged: name != "b", ..NodeSeen::default() };
        let changes = decide(&[host("a", 1), host("b", 2), host("c", 3)], &[node("a", Some(1)), node("b", Some(9)), node("c", None), node("x", Some(4))]);
        assert_eq!(changes, Changes { moved: vec![Host { address: [192, 0, 2, 9].into(), ..host("b", 2) }], strange: vec!["x".into()], unranged: vec![("b".into(), 2)] });
    }
}
