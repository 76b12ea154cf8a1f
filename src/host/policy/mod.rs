//! Keeps the network policies in force on this host, beside the node's components.
//!
//! Its life: [`filter::base`] closes the addresses of pods before anything can start one; when the API server answers, `run`
//! watches, decides (`crate::policy`) and writes; only when the first whole rule set stands may the kubelet start. What the
//! kernel holds stays in force when this process ends or is killed, and the next one takes over without taking it down.
//! It never fails: what goes wrong stands in its health, and the last rules hold meanwhile.

pub mod claims;
pub mod filter;
mod rounds;

use super::settings::Settings;
use super::watching::{News, news};
use super::{facts, flannel, mesh};
use crate::cluster::Cluster;
use crate::config::place::{Between, Host, pod_range};
use crate::policy::{Carrier, Net, OtherHost, Ways};
use crate::status::{Component, Problem};
use chrono::Utc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Its name among the components and the logs.
pub const NAME: &str = "network-policy";
/// Before it connects again.
const RETRY: Duration = Duration::from_secs(1);

/// How the enforcement stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// A rule set made of the cluster's own words stands, written by this process.
    pub in_force: bool,
    /// What keeps it from following the cluster.
    pub problem: Option<Problem>,
    /// A short remark.
    pub detail: String,
}

/// The enforcement of one node.
#[derive(Clone)]
pub struct Enforcer {
    served: CancellationToken,
    health: watch::Sender<Health>,
    hosts: watch::Receiver<Vec<Host>>,
}

impl Enforcer {
    /// One that has not begun; `hosts` are those of the cluster as they are known.
    pub fn new(hosts: watch::Receiver<Vec<Host>>) -> Enforcer {
        Enforcer { served: CancellationToken::new(), health: watch::channel(Health::default()).0, hosts }
    }

    /// Says that the API server answers.
    pub fn begin(&self) {
        self.served.cancel();
    }

    /// Waits until the rules stand; at most `limit`.
    pub async fn in_force(&self, limit: Duration) -> Result<(), Problem> {
        let mut health = self.health.subscribe();
        let stands = tokio::time::timeout(limit, health.wait_for(|h| h.in_force)).await.is_ok();
        let late = || Problem::new("NPL-103", "network policies are not in force yet", "no pod may start before they are", "wait: it is tried again; see `antihate logs network-policy`");
        if stands { Ok(()) } else { Err(self.health.borrow().problem.clone().unwrap_or_else(late)) }
    }

    /// That it stands otherwise.
    pub fn news(&self) -> News {
        news(self.health.subscribe())
    }

    /// As one of the host's components.
    pub fn component(&self) -> Component {
        let health = self.health.borrow().clone();
        let detail = health.problem.as_ref().map_or(health.detail, |p| format!("{p}: {}", p.cause));
        Component { name: NAME.into(), place: "host".into(), healthy: health.in_force && health.problem.is_none(), detail, restarts: 0, since: Utc::now() }
    }

    /// Keeps the rules as the cluster wants them; ends by being dropped.
    pub async fn run(&self, settings: Arc<Settings>) {
        self.served.cancelled().await;
        loop {
            let problem = match Cluster::connect(&settings.kubeconfig()).await {
                Ok(cluster) => rounds::keep(self, &settings, &cluster).await,
                Err(e) => e.problem(),
            };
            self.trouble(&settings, problem);
            tokio::time::sleep(RETRY).await;
        }
    }

    fn trouble(&self, settings: &Settings, problem: Problem) {
        let new = self.health.borrow().problem.as_ref() != Some(&problem);
        if new {
            tracing::warn!(problem = %problem.render(), "network policies do not follow the cluster");
            filter::note(settings, &problem.render().replace('\n', ";"));
            self.health.send_modify(|h| h.problem = Some(problem));
        }
    }

    fn well(&self, detail: String) {
        self.health.send_if_modified(|h| {
            let now = Health { in_force: true, problem: None, detail };
            let changed = *h != now;
            *h = now;
            changed
        });
    }
}

/// Where packets of the cluster's pods come from, while these are its `hosts`.
pub fn ways(settings: &Settings, hosts: &[Host]) -> Ways {
    let between = match settings.place.between {
        Between::Encrypted => Carrier::Mesh { link: mesh::link_name(&settings.layout) },
        Between::Open => Carrier::Open {
            link: flannel::LINK.into(),
            port: flannel::PORT,
            uplink: facts::addresses().into_iter().find(|a| a.ip == settings.node_ip).map(|a| a.link),
            hosts: hosts.iter().filter(|h| h.name != settings.node && h.index != settings.place.index).map(other).collect(),
        },
    };
    Ways { cluster: nets(settings.pod_cidrs().split(',')), between }
}

fn other(host: &Host) -> OtherHost {
    OtherHost { address: host.address, pods: pod_range(host.index).parse().expect("a block") }
}

/// Addresses that pods of this node have.
pub fn ranges(settings: &Settings) -> Vec<Net> {
    nets(settings.place.pod_ranges().iter().map(String::as_str))
}

fn nets<'a>(blocks: impl Iterator<Item = &'a str>) -> Vec<Net> {
    blocks.map(|block| block.parse().expect("a block of ours")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_open_mode_the_rules_follow_the_hosts() {
        let host = |name: &str, index: u8| Host { name: name.into(), index, address: [192, 0, 2, 7 + index].into(), pools: [].into(), control: false, mesh_key: String::new(), version: String::new() };
        let mut s = crate::host::render::settings();
        assert!(matches!(ways(&s, &[host("leaf", 0), host("bark", 1)]).between, Carrier::Mesh { link } if link == "ah-mesh"));
        s.place.between = Between::Open;
        let Carrier::Open { hosts, .. } = ways(&s, &[host("leaf", 0), host("bark", 1)]).between else { panic!("open") };
        assert_eq!(hosts, [OtherHost { address: [192, 0, 2, 8].into(), pods: "10.42.1.0/24".parse().unwrap() }]);
    }

    #[test]
    fn with_both_families_the_rules_know_the_pods_of_both() {
        let mut s = crate::host::render::settings();
        let text = |nets: &[Net]| nets.iter().map(Net::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!((text(&ranges(&s)), text(&ways(&s, &[]).cluster)), ("10.42.0.0/24".into(), "10.42.0.0/16".into()));
        (s.place.stack, s.place.index) = (crate::config::place::Stack::Dual, 10);
        assert_eq!((text(&ranges(&s)), text(&ways(&s, &[]).cluster)), ("10.42.10.0/24 fd00:42:0:a::/64".into(), "10.42.0.0/16 fd00:42::/56".into()));
    }

    #[tokio::test]
    async fn the_rules_are_in_force_only_after_they_were_written() {
        let enforcer = Enforcer::new(watch::channel(Vec::new()).1);
        assert_eq!(enforcer.in_force(Duration::from_millis(1)).await.unwrap_err().code, "NPL-103");
        assert!(!enforcer.component().healthy);
        enforcer.well("3 pods".into());
        enforcer.in_force(Duration::from_millis(1)).await.unwrap();
        assert!(enforcer.component().healthy && enforcer.component().detail == "3 pods");
    }
}
