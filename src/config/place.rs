//! A host's place in its cluster: its number, what it carries, and who else belongs to it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a host carries, as the guide's node pools divide the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    /// Observers, queue, monitoring.
    General,
    /// Analyzers.
    Analysis,
    /// PostgreSQL.
    Database,
}

impl Pool {
    /// All of them: what a single host carries.
    pub const ALL: [Pool; 3] = [Pool::General, Pool::Analysis, Pool::Database];

    /// The word in labels, taints and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Pool::General => "general",
            Pool::Analysis => "analysis",
            Pool::Database => "database",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Pool> {
        Pool::ALL.into_iter().find(|p| p.as_str() == word)
    }

    /// The label that a workload of this pool asks for.
    pub fn label(self) -> String {
        format!("antihate.io/pool-{}", self.as_str())
    }
}

/// The key of the guide's taints.
pub const TAINT: &str = "workload-type";

/// Where every object of the cluster lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Datastore {
    /// SQLite on the one control-plane host, through kine.
    #[default]
    Kine,
    /// Being copied from kine to etcd: the next start finishes or begins anew.
    Moving,
    /// etcd, a member on every control-plane host.
    Etcd,
}

/// How pods' packets travel between the hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Between {
    /// Through WireGuard.
    #[default]
    Encrypted,
    /// As they are, on the network's own ways or wrapped in VXLAN, by flannel.
    Open,
}

impl Between {
    /// The word in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Between::Encrypted => "encrypted",
            Between::Open => "open",
        }
    }
}

/// Which families of addresses pods and services have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stack {
    /// IPv4 alone.
    #[default]
    Ipv4,
    /// IPv4 first, and IPv6 beside it.
    Dual,
}

impl Stack {
    /// The word in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Stack::Ipv4 => "ipv4",
            Stack::Dual => "dual",
        }
    }

    /// Addresses of the pods of host number `index`, a range for each family.
    pub fn pod_ranges(self, index: u8) -> Vec<String> {
        match self {
            Stack::Ipv4 => vec![pod_range(index)],
            Stack::Dual => vec![pod_range(index), pod_range6(index)],
        }
    }
}

/// One host of the cluster, as all others know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Name of its node.
    pub name: String,
    /// Its number, 0 for the first host; decides its pods' addresses.
    pub index: u8,
    /// Its address on the network.
    pub address: Ipv4Addr,
    /// What it carries.
    pub pools: BTreeSet<Pool>,
    /// It runs a control plane.
    pub control: bool,
    /// Public key of its end of the mesh, base64.
    pub mesh_key: String,
    /// Version of its file.
    pub version: String,
}

/// This host's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its number.
    pub index: u8,
    /// It runs a control plane.
    pub control: bool,
    /// What it carries.
    pub pools: BTreeSet<Pool>,
    /// Where the cluster's objects lie.
    #[serde(default)]
    pub datastore: Datastore,
    /// The list of members with which etcd begins on this host, as `name=url,...`; empty where it begins alone.
    #[serde(default)]
    pub members: String,
    /// How pods' packets travel to the other hosts.
    #[serde(default)]
    pub between: Between,
    /// Which families of addresses pods and services have, on all hosts alike.
    #[serde(default)]
    pub stack: Stack,
    /// Every host of the cluster, this one too; empty for a host that is alone.
    #[serde(default)]
    pub hosts: Vec<Host>,
    /// What removed hosts are called in certificates that have not ended yet.
    #[serde(default)]
    pub gone: Vec<String>,
}

impl Place {
    /// Of a host that is a cluster by itself.
    pub fn alone() -> Place {
        Place { index: 0, control: true, pools: Pool::ALL.into(), datastore: Datastore::Kine, members: String::new(), between: Between::Encrypted, stack: Stack::Ipv4, hosts: Vec::new(), gone: Vec::new() }
    }

    /// Other hosts belong to the cluster.
    pub fn is_joined(&self) -> bool {
        self.hosts.len() > 1
    }

    /// The host that was there first: the stack's data lie on it, and it looks after the stack.
    pub fn is_home(&self) -> bool {
        self.index == 0
    }

    /// Name of the first host; nothing while this one is alone.
    pub fn home(&self) -> Option<&str> {
        self.hosts.iter().find(|h| h.index == 0).map(|h| h.name.as_str())
    }

    /// Hosts with a control plane.
    pub fn controls(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(|h| h.control)
    }

    /// Several control planes share the work: only one of each component may act.
    pub fn elects(&self) -> bool {
        self.controls().count() > 1
    }

    /// Addresses of this host's pods, a range for each family.
    pub fn pod_ranges(&self) -> Vec<String> {
        self.stack.pod_ranges(self.index)
    }

    /// This host's own IPv6 address in the cluster, where there are any.
    pub fn address6(&self) -> Option<Ipv6Addr> {
        (self.stack == Stack::Dual).then(|| host_address6(self.index))
    }
}

/// Addresses of the pods of host number `index`: a 256th of the cluster's range each.
pub fn pod_range(index: u8) -> String {
    format!("10.42.{index}.0/24")
}

/// The same as network and prefix length.
pub fn pod_network(index: u8) -> (IpAddr, u8) {
    (mesh_address(index).into(), 24)
}

/// IPv6 addresses of the pods of host number `index`, in a cluster that has both.
pub fn pod_range6(index: u8) -> String {
    format!("{}/64", host_address6(index))
}

/// The IPv6 address of host number `index`: the first of its pods' range, which no pod gets. The host needs no other one, and the
/// other hosts reach it through the mesh.
pub fn host_address6(index: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x42, 0, index.into(), 0, 0, 0, 0)
}

/// The address of host number `index` on the mesh: the first of its range, which no pod gets.
pub fn mesh_address(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 42, index, 0)
}

/// The labels of a host that carries `pools`, as `key=value`.
pub fn labels(pools: &BTreeSet<Pool>) -> Vec<String> {
    let only = pools.first().filter(|_| pools.len() == 1).copied().unwrap_or(Pool::General);
    let mut all = vec![format!("node-type={}", only.as_str())];
    all.extend(pools.iter().map(|p| format!("{}=true", p.label())));
    all
}

/// The guide's taint, where a host carries databases or analyzers alone; as `key=value:effect`.
pub fn taint(pools: &BTreeSet<Pool>) -> Option<String> {
    let only = pools.first().filter(|p| pools.len() == 1 && **p != Pool::General)?;
    Some(format!("{TAINT}={}:NoSchedule", only.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_carries_everything_has_no_taint_and_one_for_databases_alone_has_the_guides() {
        let all: BTreeSet<Pool> = Pool::ALL.into();
        assert_eq!(labels(&all), ["node-type=general", "antihate.io/pool-general=true", "antihate.io/pool-analysis=true", "antihate.io/pool-database=true"]);
        assert_eq!(taint(&all), None);
        let database = BTreeSet::from([Pool::Database]);
        assert_eq!(labels(&database), ["node-type=database", "antihate.io/pool-database=true"]);
        assert_eq!(taint(&database).unwrap(), "workload-type=database:NoSchedule");
        assert_eq!(taint(&BTreeSet::from([Pool::General])), None);
    }

    #[test]
    fn every_host_has_a_range_of_its_own_and_the_first_address_of_it_is_on_the_mesh() {
        assert_eq!((pod_range(0), pod_range(3)), ("10.42.0.0/24".into(), "10.42.3.0/24".into()));
        assert_eq!(pod_range(3), format!("{}/{}", pod_network(3).0, pod_network(3).1));
        assert_eq!(mesh_address(3), Ipv4Addr::new(10, 42, 3, 0));
        assert_eq!(Stack::Ipv4.pod_ranges(3), ["10.42.3.0/24"]);
        assert_eq!(Stack::Dual.pod_ranges(255), ["10.42.255.0/24", "fd00:42:0:ff::/64"]);
        assert_eq!(Place::alone().address6(), None);
        assert_eq!(Place { stack: Stack::Dual, ..Place::alone() }.address6().map(|ip| ip.to_string()).as_deref(), Some("fd00:42::"));
        assert!(Place::alone().is_home() && !Place::alone().is_joined() && !Place::alone().elects());
    }
}
