//! What policies are decided on: the cluster's pods, namespaces and policies, without anything that does not matter here.

use super::net::Net;
use super::selector::{Labels, Selector};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A protocol that policies can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// From the API's name; TCP where none is given.
    pub fn named(name: Option<&str>) -> Option<Protocol> {
        match name {
            None | Some("TCP") => Some(Protocol::Tcp),
            Some("UDP") => Some(Protocol::Udp),
            Some("SCTP") => Some(Protocol::Sctp),
            Some(_) => None,
        }
    }

    /// As nft calls it.
    pub fn word(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

/// Everything that policies are decided on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    /// Pods that policies can select, with their addresses.
    pub pods: Vec<Pod>,
    /// Policies of all namespaces.
    pub policies: Vec<Policy>,
}

/// A pod with a network of its own that has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// Identity: a pod of the same name that comes later has another.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Labels of that namespace.
    pub namespace_labels: Labels,
    /// Its own labels.
    pub labels: Labels,
    /// Its addresses, at most one a family.
    pub addresses: Vec<IpAddr>,
    /// Its containers' named ports.
    pub ports: BTreeMap<(String, Protocol), u16>,
    /// Whether it runs on the node that is decided for.
    pub local: bool,
}

/// A policy; `None` for a direction that it does not concern.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The namespace whose pods it selects from.
    pub namespace: String,
    /// The pods that it isolates.
    pub pods: Selector,
    /// What may arrive.
    pub ingress: Option<Vec<Rule>>,
    /// What may leave.
    pub egress: Option<Vec<Rule>>,
}

/// Allows these peers on these ports.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// `None`: everybody.
    pub peers: Option<Vec<Peer>>,
    /// `None`: every port of every protocol.
    pub ports: Option<Vec<Ports>>,
}

/// Who a rule allows.
#[derive(Clone, Debug, PartialEq)]
pub enum Peer {
    /// Pods of selected namespaces (`None`: of the policy's own).
    Pods {
        /// Which namespaces.
        namespaces: Option<Selector>,
        /// Which of their pods.
        pods: Selector,
    },
    /// A block of addresses with exceptions.
    Block {
        /// The block.
        net: Net,
        /// What is not allowed of it.
        except: Vec<Net>,
    },
}

/// Ports of one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// From the first to the last number.
    Numbers(Protocol, u16, u16),
    /// What the destination pod calls so.
    Named(Protocol, String),
}
