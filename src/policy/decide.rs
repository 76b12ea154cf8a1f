//! The decision: for each pod of this node, whether it is isolated and what it may talk to.

use super::allowed::{Allowed, Opening};
use super::net::{self, Net, Span};
use super::ruleset::{RuleSet, Verdict};
use super::world::{Peer, Pod, Policy, Ports, Rule, World};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Direction {
    Arriving,
    Leaving,
}

/// The rules of a node whose pods have addresses of `ranges`.
pub fn decide(world: &World, ranges: &[Net]) -> RuleSet {
    let mut rules = RuleSet { ranges: ranges.to_vec(), ..RuleSet::default() };
    let mut memory = Memory { world, spans: HashMap::new(), answers: HashMap::new() };
    for pod in world.pods.iter().filter(|p| p.local) {
        let (leaving, arriving) = (memory.verdict(pod, Direction::Leaving, &mut rules), memory.verdict(pod, Direction::Arriving, &mut rules));
        for ip in &pod.addresses {
            // Two pods can claim one address for a moment, while one takes over from the other; then nobody has it.
            let clash = !rules.itself.insert(*ip);
            let closed_on_clash = |verdict: &Verdict| if clash { Verdict::Closed } else { verdict.clone() };
            rules.leaving.insert(*ip, closed_on_clash(&leaving));
            rules.arriving.insert(*ip, closed_on_clash(&arriving));
        }
    }
    rules
}

/// What is worked out once for many pods.
struct Memory<'a> {
    world: &'a World,
    /// Addresses of a rule's peers, by policy, direction and rule.
    spans: HashMap<(usize, Direction, usize), Vec<Span>>,
    /// Verdicts, by direction, the policies that select a pod, and its named ports, which only what arrives depends on.
    answers: HashMap<(Direction, Vec<usize>, String), Verdict>,
}

impl Memory<'_> {
    fn verdict(&mut self, pod: &Pod, direction: Direction, rules: &mut RuleSet) -> Verdict {
        let world = self.world;
        let selecting = |p: &Policy| p.namespace == pod.namespace && p.rules(direction).is_some() && p.pods.selects(&pod.labels);
        let selecting: Vec<usize> = world.policies.iter().enumerate().filter(|(_, p)| selecting(p)).map(|(i, _)| i).collect();
        if selecting.is_empty() {
            return Verdict::Open;
        }
        let ports = if direction == Direction::Arriving { format!("{:?}", pod.ports) } else { String::new() };
        let key = (direction, selecting, ports);
        if let Some(known) = self.answers.get(&key) {
            return known.clone();
        }
        let allowed = self.union(pod, direction, &key.1);
        let verdict = if allowed.is_nothing() {
            Verdict::Closed
        } else {
            let name = name(direction, &allowed);
            rules.groups.insert(name.clone(), allowed);
            Verdict::Only(name)
        };
        self.answers.insert(key, verdict.clone());
        verdict
    }

    /// What at least one of the policies allows.
    fn union(&mut self, pod: &Pod, direction: Direction, policies: &[usize]) -> Allowed {
        let (mut any, mut openings) = (Vec::new(), Vec::new());
        for at in policies {
            let policy = &self.world.policies[*at];
            for (n, rule) in policy.rules(direction).into_iter().flatten().enumerate() {
                let world = self.world;
                let spans = self.spans.entry((*at, direction, n)).or_insert_with(|| peers(world, policy, rule));
                match &rule.ports {
                    None => any.extend(spans.iter().copied()),
                    Some(all) => all.iter().for_each(|p| openings.extend(open(world, pod, direction, spans, p))),
                }
            }
        }
        Allowed::of(any, openings)
    }
}

impl Policy {
    fn rules(&self, direction: Direction) -> Option<&Vec<Rule>> {
        match direction {
            Direction::Arriving => self.ingress.as_ref(),
            Direction::Leaving => self.egress.as_ref(),
        }
    }
}

/// The addresses of everybody that a rule names.
fn peers(world: &World, policy: &Policy, rule: &Rule) -> Vec<Span> {
    let Some(peers) = &rule.peers else { return vec![Span::all(false), Span::all(true)] };
    let one = |peer: &Peer| -> Vec<Span> {
        match peer {
            Peer::Block { net, except } => net::without(net.span(), &except.iter().map(Net::span).collect::<Vec<_>>()),
            Peer::Pods { namespaces, pods } => {
                let there = |p: &&Pod| namespaces.as_ref().map_or(p.namespace == policy.namespace, |s| s.selects(&p.namespace_labels));
                let selected = world.pods.iter().filter(there).filter(|p| pods.selects(&p.labels));
                selected.flat_map(|p| p.addresses.iter().map(|ip| Span::one(*ip))).collect()
            }
        }
    };
    net::merged(peers.iter().flat_map(one).collect())
}

/// The openings of one port entry. A name means what the destination calls so: the pod itself for what arrives, each pod
/// among the peers for what leaves.
fn open(world: &World, pod: &Pod, direction: Direction, spans: &[Span], ports: &Ports) -> Vec<Opening> {
    let to_all = |protocol, ports| spans.iter().map(|peers| Opening { peers: *peers, protocol, ports }).collect();
    match (ports, direction) {
        (Ports::Numbers(protocol, first, last), _) => to_all(*protocol, (*first, *last)),
        (Ports::Named(protocol, name), Direction::Arriving) => match pod.ports.get(&(name.clone(), *protocol)) {
            Some(number) => to_all(*protocol, (*number, *number)),
            None => Vec::new(),
        },
        (Ports::Named(protocol, name), Direction::Leaving) => {
            let named = world.pods.iter().filter_map(|p| Some((p, *p.ports.get(&(name.clone(), *protocol))?)));
            let reached = named.flat_map(|(p, n)| p.addresses.iter().map(move |ip| (*ip, n)));
            reached
                .filter(|(ip, _)| spans.iter().any(|s| s.contains(*ip)))
                .map(|(ip, n)| Opening { peers: Span::one(ip), protocol: *protocol, ports: (n, n) })
                .collect()
        }
    }
}

/// A name that follows from the content: what did not change keeps its name, and what has a name never changes.
fn name(direction: Direction, allowed: &Allowed) -> String {
    let mut hash = Sha256::new();
    allowed.any.iter().for_each(|s| hash.update(format!("{s} ")));
    hash.update("; ");
    allowed.ports.iter().for_each(|o| hash.update(format!("{} {:?} {:?} ", o.peers, o.protocol, o.ports)));
    let way = if direction == Direction::Arriving { "to" } else { "from" };
    format!("{way}-{}", &hex::encode(hash.finalize())[..16])
}
