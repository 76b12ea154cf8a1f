//! This host's place in its cluster, on disk: without the file it is alone.

use super::distribution::Distribution;
use super::heal;
use crate::config::layout::Layout;
use crate::config::place::{Between, Stack};
use crate::config::{Network, Place};
use crate::files;
use crate::status::Problem;
use std::path::PathBuf;

fn file(layout: &Layout) -> PathBuf {
    layout.cluster().join("place.json")
}

/// Reads it. A file that cannot be read is a problem and no lonely host: that one would begin a cluster of its own.
pub fn load(layout: &Layout) -> Result<Place, Problem> {
    let path = file(layout);
    let wrong = |why: String| Problem::new("PLC-101", format!("{} cannot be read", path.display()), why, "Mend the file, or remove this host from its cluster with `antihate node remove` there, `antihate reset` here, and join it again.");
    match std::fs::read(&path) {
        Ok(raw) => serde_json::from_slice(&raw).map_err(|e| wrong(e.to_string())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Place::alone()),
        Err(e) => Err(wrong(e.to_string())),
    }
}

/// Reads it, with the way between the hosts and the families of addresses that the settings ask for, and keeps those: they hold for
/// every host that joins.
pub fn chosen(layout: &Layout, wanted: &Network, distribution: &Distribution) -> Result<Place, Problem> {
    let now = load(layout)?;
    let begun = heal::database(layout).exists() || layout.etcd().join("member").exists();
    let (between, stack) = (between(&now, wanted.between)?, stack(&now, wanted.stack, begun)?);
    if stack == Stack::Dual {
        can_be_dual(between, distribution)?;
    }
    if between == now.between && stack == now.stack {
        return Ok(now);
    }
    let now = Place { between, stack, ..now };
    save(layout, &now)?;
    Ok(now)
}

/// Decides the families of addresses. Pods, nodes and services keep the addresses that they were made with, so that it is settled once
/// the cluster has begun.
fn stack(now: &Place, wanted: Option<Stack>, begun: bool) -> Result<Stack, Problem> {
    let wanted = wanted.unwrap_or(now.stack);
    if wanted != now.stack && (begun || now.is_joined()) {
        let cause = format!("its cluster has begun with {}, on every host alike", now.stack.as_str());
        let next = format!("Write `stack = \"{}\"` in settings.toml, or remove the line. For the other one the cluster has to begin anew: `antihate reset`, which takes the posts along.", now.stack.as_str());
        return Err(Problem::new("PLC-105", format!("network.stack = \"{}\" does not fit this node", wanted.as_str()), cause, next));
    }
    Ok(wanted)
}

/// Refuses IPv6 where nothing would carry it.
fn can_be_dual(between: Between, distribution: &Distribution) -> Result<(), Problem> {
    let cause = match (between, distribution) {
        (Between::Open, _) => "in the open mode packets of pods travel between the hosts as IPv4 only",
        (_, Distribution::K3s(_)) => "it is for the embedded Kubernetes, and this node runs k3s",
        _ => return Ok(()),
    };
    Err(Problem::new("PLC-106", "network.stack = \"dual\" cannot be kept", cause, "Remove what asks for it (`between = \"open\"`, k3s), or begin anew with `stack = \"ipv4\"`."))
}

/// Decides it. All hosts of a cluster have to do the same, so that it is settled once another one belongs to it.
fn between(now: &Place, wanted: Option<Between>) -> Result<Between, Problem> {
    let wanted = wanted.unwrap_or(now.between);
    if now.is_joined() && wanted != now.between {
        let cause = format!("its hosts are joined, and their way is {}", now.between.as_str());
        let next = format!("Write `between = \"{}\"` in settings.toml, or remove the line. For another way all other hosts have to leave first (`antihate node remove`).", now.between.as_str());
        return Err(Problem::new("PLC-104", format!("network.between = \"{}\" does not fit the cluster", wanted.as_str()), cause, next));
    }
    Ok(wanted)
}

/// Refuses on a joined host what only the first one can do.
pub fn only_at_home(layout: &Layout, what: &str) -> Result<(), Problem> {
    let place = load(layout)?;
    if place.is_home() {
        return Ok(());
    }
    let home = place.hosts.iter().find(|h| h.index == 0).map_or_else(|| "the first host".to_owned(), |h| format!("{} ({})", h.name, h.address));
    Err(Problem::new("PLC-103", format!("{what} only on the cluster's first host"), "this host has joined its cluster", format!("Do it on {home}: its page is at port 8443.")))
}

/// Writes it; returns whether it changed.
pub fn save(layout: &Layout, place: &Place) -> Result<bool, Problem> {
    let path = file(layout);
    let failed = |e: std::io::Error| Problem::new("PLC-102", format!("{} cannot be written", path.display()), e.to_string(), "See that the data root is writable and has free space.");
    files::folder(&layout.cluster(), 0o755).map_err(failed)?;
    let text = serde_json::to_vec_pretty(place).expect("plain data");
    files::replace_if_changed(&path, &text, 0o600).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::place::Host;

    fn host(name: &str, index: u8) -> Host {
        Host { name: name.into(), index, address: [192, 0, 2, index].into(), pools: [].into(), control: true, mesh_key: String::new(), version: String::new() }
    }

    #[test]
    fn the_way_between_hosts_is_chosen_while_the_host_is_alone_and_refused_after_that() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let chosen = |between: Option<Between>| chosen(&layout, &Network { between, stack: None }, &Distribution::Embedded);
        assert_eq!(chosen(None).unwrap(), Place::alone());
        assert_eq!(chosen(Some(Between::Open)).unwrap().between, Between::Open);
        assert_eq!(chosen(None).unwrap().between, Between::Open, "it is kept for those who join");
        save(&layout, &Place { between: Between::Open, hosts: vec![host("a", 0), host("b", 1)], ..Place::alone() }).unwrap();
        assert_eq!(chosen(Some(Between::Encrypted)).unwrap_err().code, "PLC-104");
        assert_eq!(chosen(Some(Between::Open)).unwrap().between, Between::Open);
        save(&layout, &Place { between: Between::Open, hosts: vec![host("a", 0)], ..Place::alone() }).unwrap();
        assert_eq!(chosen(Some(Between::Encrypted)).unwrap().between, Between::Encrypted, "all others have left");
    }

    #[test]
    fn the_families_of_addresses_are_chosen_before_the_first_start_and_refused_after_that() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let chosen = |stack: Option<Stack>| chosen(&layout, &Network { stack, between: None }, &Distribution::Embedded);
        assert_eq!(chosen(Some(Stack::Dual)).unwrap().stack, Stack::Dual);
        assert_eq!(chosen(Some(Stack::Ipv4)).unwrap().stack, Stack::Ipv4, "nothing has begun");
        assert_eq!(chosen(Some(Stack::Dual)).unwrap().stack, Stack::Dual);
        let database = heal::database(&layout);
        std::fs::create_dir_all(database.parent().unwrap()).unwrap();
        std::fs::write(database, "").unwrap();
        assert_eq!(chosen(None).unwrap().stack, Stack::Dual, "it is kept");
        assert_eq!(chosen(Some(Stack::Ipv4)).unwrap_err().code, "PLC-105");
        assert_eq!(chosen(Some(Stack::Dual)).unwrap().address6(), Some("fd00:42::".parse().unwrap()));
        let open = Network { between: Some(Between::Open), stack: None };
        assert_eq!(super::chosen(&layout, &open, &Distribution::Embedded).unwrap_err().code, "PLC-106");
        let joined = Place { index: 1, hosts: vec![host("a", 0), host("b", 1)], ..Place::alone() };
        assert_eq!(stack(&joined, Some(Stack::Dual), false).unwrap_err().code, "PLC-105", "the cluster that it joined has IPv4");
    }

    #[test]
    fn a_host_without_the_file_is_alone_and_one_with_a_broken_file_does_not_begin_a_cluster_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        assert_eq!(load(&layout).unwrap(), Place::alone());
        let place = Place { index: 2, control: false, ..Place::alone() };
        assert!(save(&layout, &place).unwrap() && !save(&layout, &place).unwrap());
        assert_eq!(load(&layout).unwrap(), place);
        assert!(only_at_home(&layout, "posts are shown").unwrap_err().next.contains("the first host"));
        std::fs::write(file(&layout), "{").unwrap();
        assert_eq!(load(&layout).unwrap_err().code, "PLC-101");
    }
}
