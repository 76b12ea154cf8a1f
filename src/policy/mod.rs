//! Network policies, decided: from what the cluster declares to the packet filter rules of one node.
//!
//! Its life: `read` takes the API's objects into a [`World`], `decide` makes a [`RuleSet`] of it for the pods of one node,
//! `text` writes that as one transaction for `nft -f -`. Everything here is a pure function; who asks the API server and
//! who runs `nft` is `host::policy`. It never knows links, routes or services: packets are judged after service addresses
//! were replaced, by the addresses of pods wherever in the cluster they run.
//!
//! Semantics are those of networking.k8s.io/v1. What that leaves open is answered so: a connection that a changed policy no
//! longer allows is cut at once, since every packet of its opening direction is judged anew; traffic between a pod and its
//! own node, and of a pod with itself, is always allowed, and what another host of the cluster itself sends to a pod; the
//! address of a pod that is not known yet is closed. Nobody can send under the address of another pod or host.

mod allowed;
mod decide;
mod net;
mod read;
mod ruleset;
mod selector;
mod text;
mod ways;
mod world;
#[cfg(test)]
pub(crate) mod naive;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod worlds;

pub use allowed::Allowed;
pub use decide::decide;
pub use net::{Net, Span};
pub use read::{Claims, world};
pub use ruleset::{Packet, RuleSet, Verdict};
pub use text::{TABLE, base, leftovers, transaction};
pub use ways::{Carrier, OtherHost, Ways};
pub use world::{Peer, Pod, Policy, Ports, Protocol, Rule, World};
