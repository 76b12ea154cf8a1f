//! The hosts of the cluster, seen from this one: who they are, how they are reached, what is to be done when that changes.
//!
//! Each host looks at the list in the datastore every few seconds, keeps a copy of it, and sees that the ways to the others fit. What changes how its
//! components run makes them start anew; pods go on. A control plane also lets hosts in and sees that what the list says is so.

pub mod balance;
pub mod etcd;
mod keeper;
pub mod keys;
pub mod leave;
pub mod member;
pub mod moving;
mod renewal;
#[cfg(test)]
mod server_tests;
mod tend;

pub use keeper::HostKeeper;
pub use renewal::{is_due, renew};

use super::render::commands;
use super::settings::Settings;
use super::watching::{News, news};
use super::{flannel, mesh, place};
use crate::cluster::Cluster;
use crate::config::Place;
use crate::config::place::{Between, Host, mesh_address};
use crate::join::registry;
use crate::status::{Component, Problem};
use chrono::Utc;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Its name among the components.
pub const NAME: &str = "hosts";
/// Between two looks at the list.
const LOOK: Duration = Duration::from_secs(5);
/// Between two looks while the mesh is being made.
const SOON: Duration = Duration::from_millis(500);
/// So many looks in a row have to miss a node that was there.
const SURE: u32 = 3;
/// A host that is not answered asks for the reason at every so manieth look.
const SELDOM: u32 = 60;

/// What others share with the task that looks after the hosts.
#[derive(Clone)]
pub struct Hosts {
    /// Wakes it: the list has changed.
    pub changed: Arc<Notify>,
    /// Cancelled when the components are to start anew, because the cluster is another one now.
    pub regroup: CancellationToken,
    /// Where the API server is asked, best first; used by a host without a control plane.
    pub targets: watch::Sender<Vec<SocketAddrV4>>,
    /// Sum of the authorities that the components were started with; empty before.
    pub begun: watch::Sender<String>,
    /// All components of this host are well.
    pub sound: watch::Sender<bool>,
    /// Every host of the cluster as it was listed last.
    pub others: watch::Sender<Vec<Host>>,
    health: watch::Sender<Option<Result<String, Problem>>>,
}

impl Hosts {
    /// Of a host that begins.
    pub fn new(settings: &Settings) -> Hosts {
        let targets = watch::channel(targets(&settings.place)).0;
        let others = watch::channel(settings.place.hosts.clone()).0;
        Hosts { changed: Arc::default(), regroup: CancellationToken::new(), targets, begun: watch::channel(String::new()).0, sound: watch::channel(false).0, others, health: watch::channel(None).0 }
    }

    /// That it stands otherwise.
    pub fn news(&self) -> News {
        news(self.health.subscribe())
    }

    /// As one of the host's components; nothing while this host is alone.
    pub fn component(&self) -> Option<Component> {
        let (healthy, detail) = match self.health.borrow().clone()? {
            Ok(detail) => (true, detail),
            Err(problem) => (false, format!("{problem}: {}", problem.cause)),
        };
        Some(Component { name: NAME.into(), place: "host".into(), healthy, detail, restarts: 0, since: Utc::now() })
    }

    /// Looks after the hosts; ends by being dropped. A host that is alone waits until another one joins.
    pub async fn run(&self, settings: Arc<Settings>) {
        if !settings.place.is_joined() {
            self.changed.notified().await;
        }
        let mut looks = Looks::default();
        loop {
            let done = match self.round(&settings, &mut looks).await {
                Ok(detail) => {
                    (looks.failed, looks.why) = (0, None);
                    Ok(detail)
                }
                Err(problem) => Err(looks.why(&settings, problem).await),
            };
            let news = self.health.send_if_modified(|now| {
                let new = Some(done.clone());
                let changed = *now != new;
                *now = new;
                changed
            });
            // The process that serves the mesh, or flannel, makes its link a moment after its start.
            let soon = done.as_ref().is_err_and(|p| ["MSH-106", "FLN-102"].contains(&p.code.as_str()));
            if let (Err(problem), true, false) = (&done, news, soon) {
                tracing::warn!(problem = %problem.render(), "the hosts of the cluster");
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(if soon { SOON } else { LOOK }) => {}
            }
        }
    }

    async fn round(&self, settings: &Arc<Settings>, looks: &mut Looks) -> Result<String, Problem> {
        let cluster = looks.cluster(settings).await?;
        let listed = match listed(settings, &cluster).await {
            // While no control plane answers the ways are kept as they were.
            Err(silent) => {
                looks.cluster = None;
                carry(settings, &place::load(&settings.layout)?, looks).await?;
                return Err(silent);
            }
            Ok(listed) => listed,
        };
        let now = next(&place::load(&settings.layout)?, listed, &settings.node)?;
        place::save(&settings.layout, &now)?;
        self.others.send_if_modified(|old| {
            let changed = *old != now.hosts;
            old.clone_from(&now.hosts);
            changed
        });
        self.targets.send_if_modified(|old| {
            let new = targets(&now);
            let changed = *old != new;
            *old = new;
            changed
        });
        let node = cluster.node(&settings.node).await.map_err(|e| e.problem())?;
        if is_another_cluster(settings, &now) || looks.presence.is_lost(node.is_some()) {
            self.regroup.cancel();
        }
        let carried = carry(settings, &now, looks).await;
        // Whatever came of it: flannel waits for what is set here.
        if now.control {
            looks.tended.round(settings, &now, &cluster).await?;
        }
        let mut detail = format!("{} hosts, {}", now.hosts.len(), carried?);
        let begun = Some(self.begun.borrow().clone()).filter(|trust| !trust.is_empty() && *self.sound.borrow());
        match looks.keys.round(settings, &now, &cluster, node.as_ref(), begun).await? {
            keys::Followed::StartAnew => self.regroup.cancel(),
            keys::Followed::Still(why) => detail.extend(why.map(|why| format!(", {why}"))),
        }
        Ok(detail)
    }
}

/// Sees to the ways of the pods' packets to the other hosts.
async fn carry(settings: &Settings, now: &Place, looks: &mut Looks) -> Result<String, Problem> {
    match settings.place.between {
        Between::Encrypted => mesh::apply(settings, &members(now)).await,
        Between::Open => flannel::apply(settings, &members(now), &mut looks.flannel).await,
    }
}

/// What is kept from look to look.
#[derive(Default)]
struct Looks {
    /// One connection serves until it fails.
    cluster: Option<Cluster>,
    tended: tend::Tended,
    presence: Presence,
    keys: keys::Keys,
    flannel: flannel::Seen,
    failed: u32,
    /// Why the API server does not answer this host, as a control plane told it.
    why: Option<Problem>,
}

impl Looks {
    async fn cluster(&mut self, settings: &Settings) -> Result<Cluster, Problem> {
        if let Some(cluster) = &self.cluster {
            return Ok(cluster.clone());
        }
        let made = Cluster::connect(&settings.kubeconfig()).await.map_err(|e| e.problem())?;
        Ok(self.cluster.insert(made).clone())
    }

    /// The problem of a look that failed. A host that the API server turns away for good asks a control plane for the reason.
    async fn why(&mut self, settings: &Settings, problem: Problem) -> Problem {
        self.failed += 1;
        if !settings.place.control && (self.failed == SURE || self.failed.is_multiple_of(SELDOM)) {
            self.why = renewal::refusal(settings).await;
        }
        self.why.clone().unwrap_or(problem)
    }
}

/// The problem of a host that is not in the list.
fn removed(cause: impl Into<String>) -> Problem {
    Problem::new("HST-105", "this host was removed from its cluster", cause, "Take it off with `antihate reset`; it may join again with a new code.")
}

/// The list in the datastore; one that was lost with the datastore is written anew from the copy of a control plane.
async fn listed(settings: &Settings, cluster: &Cluster) -> Result<Vec<Host>, Problem> {
    match registry::hosts(cluster).await? {
        Some(listed) if !listed.is_empty() => Ok(listed),
        _ if settings.place.control => {
            let copy = place::load(&settings.layout)?.hosts;
            let written = registry::change_hosts(cluster, |hosts| {
                if hosts.is_empty() {
                    *hosts = copy.clone();
                }
                Ok(hosts.clone())
            });
            written.await
        }
        _ => Ok(settings.place.hosts.clone()),
    }
}

/// Whether this host's node is in the cluster: a kubelet registers it only when it starts, so that one that was lost with the
/// datastore comes back only by a start.
#[derive(Default)]
struct Presence {
    seen: bool,
    missing: u32,
}

impl Presence {
    fn is_lost(&mut self, there: bool) -> bool {
        self.seen |= there;
        self.missing = if there { 0 } else { self.missing + 1 };
        self.seen && self.missing >= SURE
    }
}

/// This host's place after a look at the list.
fn next(old: &Place, listed: Vec<Host>, node: &str) -> Result<Place, Problem> {
    let gone = || removed(format!("no host {node} is in the cluster's list"));
    let own = listed.iter().find(|h| h.name == node).cloned();
    let own = if listed.is_empty() { None } else { Some(own.ok_or_else(gone)?) };
    let (index, pools) = own.map_or((old.index, old.pools.clone()), |h| (h.index, h.pools));
    Ok(Place { index, pools, hosts: listed, ..old.clone() })
}

/// Whether the components, as they run, do not fit the cluster any more.
fn is_another_cluster(settings: &Settings, now: &Place) -> bool {
    let then = Settings { place: now.clone(), ..settings.clone() };
    settings.place.is_joined() != now.is_joined() || commands::all(settings) != commands::all(&then)
}

/// Where the API server is asked: control planes by their addresses, then by the mesh, which finds a host that has moved.
fn targets(place: &Place) -> Vec<SocketAddrV4> {
    let port = super::settings::API_PORT;
    let plain = place.controls().map(|h| SocketAddrV4::new(h.address, port));
    plain.chain(place.controls().map(|h| SocketAddrV4::new(mesh_address(h.index), port))).collect()
}

fn members(place: &Place) -> Vec<mesh::Member> {
    place.hosts.iter().map(|h| mesh::Member { name: h.name.clone(), index: h.index, address: h.address, mesh_key: h.mesh_key.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::place::Pool;

    fn host(name: &str, index: u8, control: bool) -> Host {
        Host { name: name.into(), index, address: [192, 0, 2, index + 1].into(), pools: [Pool::General].into(), control, mesh_key: String::new(), version: String::new() }
    }

    #[test]
    fn a_host_follows_the_list_and_is_told_when_it_was_removed() {
        let old = Place { index: 1, control: false, ..Place::alone() };
        let now = next(&old, vec![host("a", 0, true), host("b", 1, false)], "b").unwrap();
        assert!(now.is_joined() && now.pools == [Pool::General].into() && !now.control && now.home() == Some("a"));
        assert_eq!(next(&old, vec![host("a", 0, true)], "b").unwrap_err().code, "HST-105");
        assert_eq!(next(&old, Vec::new(), "b").unwrap(), old);
    }

    #[test]
    fn a_node_that_was_there_and_is_missing_for_some_looks_is_lost() {
        let mut presence = Presence::default();
        let looks = [false, false, false, false, true, false, false, true, false, false, false].map(|there| presence.is_lost(there));
        assert_eq!(looks.iter().position(|lost| *lost), Some(10));
    }

    #[test]
    fn the_api_server_is_asked_by_address_first_and_by_the_mesh_after_that() {
        let place = Place { hosts: vec![host("a", 0, true), host("b", 1, false), host("c", 2, true)], ..Place::alone() };
        let told: Vec<String> = targets(&place).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["192.0.2.1:6443", "192.0.2.3:6443", "10.42.0.0:6443", "10.42.2.0:6443"]);
    }
}
