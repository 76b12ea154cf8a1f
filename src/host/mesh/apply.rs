//! Makes this host's end of the mesh what the plan says, and mends what is missing.

use super::plan::{self, Plan};
use super::{Member, key, link_name, socket};
use crate::host::settings::{POD_CIDR, Settings, pod_network6};
use crate::process::links::{self, Kind, Link, LinkError, Links, Route};
use crate::process::once;
use crate::status::Problem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Makes link, keys, peers, address and route as the cluster's `members` ask, this host being the one of its own name among them,
/// and takes away what is too much. Returns a short remark.
pub async fn apply(settings: &Settings, members: &[Member]) -> Result<String, Problem> {
    let own = members.iter().find(|m| m.name == settings.node);
    let plan = own.map(|own| plan::plan(own, members, settings.place.stack)).unwrap_or_default();
    let (Some(own), Some(address)) = (own, plan.address.filter(|_| members.len() > 1)) else {
        dissolve(settings).await?;
        return Ok("alone".into());
    };
    let key = key(&settings.layout.pki())?;
    let (link, mtu) = links::with(async |l| ensure(l, &link_name(&settings.layout), own.address).await).await.map_err(|e| kernel(&e))?;
    // The process makes the link a moment before it can be told what to do with it.
    let ready = |l: &Link| l.kind == Kind::Wireguard || l.kind == Kind::Tun && socket(&settings.layout).exists();
    let link = link.filter(ready).ok_or_else(|| not_ours(settings))?;
    wg(settings, &["syncconf", &link_name(&settings.layout), "/dev/stdin"], plan::render(&plan, &key.private)).await?;
    let own6 = settings.place.address6();
    links::with(async |l| settle(l, &link, mtu, (address, own6)).await).await.map_err(|e| kernel(&e))?;
    let listing = wg(settings, &["show", &link_name(&settings.layout), "latest-handshakes"], String::new()).await?;
    Ok(remark(&plan, link.kind, &listing))
}

/// The link, made where the kernel can, and the largest packet that fits.
async fn ensure(l: &Links, name: &str, underlay: Ipv4Addr) -> Result<(Option<Link>, u32), LinkError> {
    let mtu = plan::mtu(l.with_address(underlay).await?.map_or(1500, |u| u.mtu));
    if let Some(link) = l.link(name).await? {
        return Ok((Some(link), mtu));
    }
    // A kernel without WireGuard refuses: then the process makes the link.
    if !super::needs_user_space().await {
        l.add_wireguard(name).await?;
    }
    Ok((l.link(name).await?, mtu))
}

/// Address, size, state and routes of the link. This host's IPv6 address is on `lo`, where it is also while the host is alone: a
/// route that names it needs it there.
async fn settle(l: &Links, link: &Link, mtu: u32, (address, own6): (Ipv4Addr, Option<Ipv6Addr>)) -> Result<(), LinkError> {
    let has = l.addresses(link.index).await?;
    if !has.contains(&(address, 32)) {
        l.add_address(link.index, (address, 32)).await?;
    }
    for old in has.into_iter().filter(|a| *a != (address, 32)) {
        l.remove_address(link.index, old).await?;
    }
    if !link.up || link.mtu != mtu {
        l.set(link.index, mtu).await?;
    }
    if let (Some(own), Some(lo)) = (own6, l.link("lo").await?) {
        l.add_address6(lo.index, own).await?;
    }
    let wanted = ways(link.index, address, own6);
    let routes = l.routes().await?;
    for missing in wanted.iter().filter(|w| !routes.contains(w)) {
        l.set_route(missing).await?;
    }
    for old in routes.into_iter().filter(|r| r.link == link.index && wanted.iter().all(|w| w.to != r.to)) {
        l.remove_route(&old).await?;
    }
    Ok(())
}

/// What goes to pods at all goes into the mesh, a route for each family.
fn ways(link: u32, own: Ipv4Addr, own6: Option<Ipv6Addr>) -> Vec<Route> {
    let way = |to: (IpAddr, u8), own: IpAddr| Route { to, link, gateway: None, source: Some(own) };
    let (network6, length6) = pod_network6();
    let v6 = own6.map(|own| way((network6.into(), length6), own.into()));
    [way(pods(), own.into())].into_iter().chain(v6).collect()
}

/// All pods' IPv4 addresses: network and prefix length.
fn pods() -> (IpAddr, u8) {
    let (network, length) = POD_CIDR.split_once('/').expect("a network");
    (network.parse().expect("an address"), length.parse().expect("a length"))
}

/// A host that is alone has no mesh. A link that a process serves goes with the process.
async fn dissolve(settings: &Settings) -> Result<(), Problem> {
    let name = link_name(&settings.layout);
    let done = links::with(async |l| match l.link(&name).await? {
        Some(link) if [Kind::Wireguard, Kind::Tun].contains(&link.kind) => l.remove(link.index).await,
        _ => Ok(()),
    });
    done.await.map_err(|e| kernel(&e))
}

fn remark(plan: &Plan, kind: Kind, listing: &str) -> String {
    let heard = plan::heard(plan, listing, chrono::Utc::now().timestamp());
    let silent: Vec<&str> = plan.peers.iter().map(|p| p.name.as_str()).filter(|name| !heard.contains(name)).collect();
    let way = if kind == Kind::Wireguard { "kernel" } else { "process" };
    let mut text = format!("{} of {} hosts heard, encrypted ({way})", heard.len(), plan.peers.len());
    if !silent.is_empty() {
        text += &format!("; silent: {}", silent.join(", "));
    }
    plan.left_out.iter().fold(text, |text, why| format!("{text}; {why}"))
}

/// Runs the payload's `wg`; returns what it printed.
async fn wg(settings: &Settings, args: &[&str], input: String) -> Result<String, Problem> {
    let (program, args): (_, Vec<String>) = (settings.program("wg"), args.iter().map(|a| a.to_string()).collect());
    let work = move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        once::run(&program, "wg", &args, &[], |pipe| pipe.write_all(input.as_bytes()))
    };
    let failed = |cause: String| Problem::new("MSH-103", "wg cannot be run", cause, "see that the data root is whole: `antihate payload verify`");
    let ended = tokio::task::spawn_blocking(work).await.map_err(|e| failed(e.to_string()))?;
    let (outcome, fed) = ended.map_err(|e| failed(e.to_string()))?;
    if !outcome.ok {
        return Err(Problem::new("MSH-104", "the mesh between the hosts cannot be set", outcome.stderr, "nothing to do at once: it is tried again; see `antihate logs wireguard`"));
    }
    fed.map_err(|e| failed(e.to_string()))?;
    Ok(String::from_utf8_lossy(&outcome.stdout).into_owned())
}

fn not_ours(settings: &Settings) -> Problem {
    let name = link_name(&settings.layout);
    Problem::new("MSH-106", format!("there is no link {name} of WireGuard"), "the process that serves it has not made it yet, or the name belongs to another link", "wait: it is tried again; otherwise see `antihate logs wireguard`")
}

fn kernel(e: &LinkError) -> Problem {
    problem("MSH-102", e, "nothing to do at once: it is tried again; the host needs root and network administration (CAP_NET_ADMIN)".into())
}

pub(super) fn problem(code: &str, e: &LinkError, next: String) -> Problem {
    let cause = std::error::Error::source(e).map_or_else(String::new, |s| s.to_string());
    Problem::new(code, e.to_string(), cause, next)
}
