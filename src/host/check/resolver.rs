//! Name resolution: what pods can ask, and what names of the host mean.

use super::asked::Asked;
use super::tree::{Tree, list};
use crate::host::facts;
use crate::manifests::network::DOMAIN;
use crate::status::check::{Check, Group};
use std::net::IpAddr;

const G: Group = Group::Resolver;
/// More resolvers than these are asked by nobody.
const MOST: usize = 3;
/// More search domains than these are cut off by older programs.
const SEARCHED: usize = 6;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// `/etc/resolv.conf` has something to say.
    pub there: bool,
    /// Resolvers that it names, and those of them that a pod can reach.
    pub named: Vec<IpAddr>,
    pub usable: Vec<IpAddr>,
    /// Domains in which short names are looked for.
    pub search: Vec<String>,
    /// `localhost` has its address in `/etc/hosts`.
    pub localhost: bool,
    /// The host's own name.
    pub hostname: String,
    /// A resolver has answered; `None` where none was asked.
    pub answers: Option<bool>,
}

/// Reads them.
pub fn read(tree: &Tree, asked: &Asked) -> Facts {
    let text = tree.text("etc/resolv.conf");
    let words = |line: &str, name: &str| line.trim().strip_prefix(name).map(|rest| rest.split_whitespace().map(String::from).collect::<Vec<_>>());
    let named = text.lines().filter_map(|l| words(l, "nameserver")?.first()?.parse().ok()).collect();
    let hosts = tree.text("etc/hosts");
    Facts {
        there: !text.is_empty(),
        named,
        usable: facts::resolvers(&text),
        search: text.lines().filter_map(|l| words(l, "search").or_else(|| words(l, "domain"))).next_back().unwrap_or_default(),
        localhost: hosts.lines().any(|l| l.split_whitespace().next() == Some("127.0.0.1") && l.split_whitespace().any(|w| w == "localhost")),
        hostname: asked.hostname.clone(),
        answers: asked.answers,
    }
}

/// Judges them.
pub fn judge(f: &Facts) -> Vec<Check> {
    let told: Vec<String> = f.named.iter().map(IpAddr::to_string).collect();
    let within = |name: &str| name == DOMAIN || name.ends_with(&format!(".{DOMAIN}"));
    let clash: Vec<&str> = f.search.iter().map(String::as_str).chain([f.hostname.as_str()]).filter(|n| within(n)).collect();
    const WHY: &str = "observers find the sources by name";
    vec![
        G.check("resolver.file", "List of resolvers", WHY, if f.there { "/etc/resolv.conf" } else { "none" })
            .warns(!f.there, "CHK-330", "/etc/resolv.conf is missing or empty", "Nothing has to be done on a site without internet. Otherwise write `nameserver ADDRESS` into it."),
        G.check("resolver.named", "Resolvers", WHY, list(&told))
            .only_if(f.there, "there is no list of resolvers")
            .warns(f.named.is_empty(), "CHK-331", "/etc/resolv.conf names no resolver", "Nothing has to be done on a site without internet. Otherwise write `nameserver ADDRESS` into it."),
        G.check("resolver.usable", "Resolvers for pods", "a resolver on the host's loopback is out of pods' reach", list(&told))
            .only_if(!f.named.is_empty(), "no resolver is named")
            .warns(f.usable.is_empty(), "CHK-332", format!("pods can ask none of the resolvers ({})", list(&told)), "Name the network's own: with systemd-resolved run `ln -sf /run/systemd/resolve/resolv.conf /etc/resolv.conf`."),
        G.check("resolver.few", "Number of resolvers", "no program asks a fourth one", f.named.len().to_string())
            .warns(f.named.len() > MOST, "CHK-333", format!("{} resolvers are named; three are asked", f.named.len()), "Leave the three nearest in /etc/resolv.conf."),
        G.check("resolver.search", "Search domains", "each is tried for every short name, and some programs take only six", f.search.len().to_string())
            .warns(f.search.len() > SEARCHED, "CHK-334", format!("{} search domains are set", f.search.len()), "Leave those that are needed in /etc/resolv.conf."),
        G.check("resolver.cluster", "Names of the cluster", "names of services end in cluster.local", list(&clash))
            .warns(!clash.is_empty(), "CHK-335", format!("the host's own names end like those of the cluster: {}", list(&clash)), "Give host and search domains names that do not end in cluster.local."),
        G.check("resolver.localhost", "localhost", "parts of the node find each other by it", if f.localhost { "127.0.0.1" } else { "not in /etc/hosts" })
            .warns(!f.localhost, "CHK-336", "/etc/hosts does not name localhost", "Write the line `127.0.0.1 localhost` into it."),
        G.check("resolver.answers", "Answer of a resolver", WHY, match f.answers { Some(true) => "came", Some(false) => "did not come", None => "not asked" })
            .only_if(f.answers.is_some(), "it is asked by `antihate check`, not at a start, and only where one is named")
            .warns(f.answers == Some(false), "CHK-338", format!("no resolver has answered within a second ({})", list(&told)), "Nothing has to be done on a site without internet. Otherwise see that they are reached: `ping` each."),
    ]
}
