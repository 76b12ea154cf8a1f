//! A host leaves the cluster: its pods go elsewhere, its vote, its number and its name become free.

use super::etcd;
use crate::cluster::Cluster;
use crate::cluster::patience::{AT_A_TERMINAL, patiently};
use crate::config::layout::Layout;
use crate::config::place::{Datastore, Host};
use crate::host::place;
use crate::join::registry;
use crate::process::once;
use crate::status::Problem;
use std::time::Duration;

fn problem(number: u16, what: impl Into<String>, cause: impl Into<String>, next: impl Into<String>) -> Problem {
    Problem::new(&format!("HST-{number}"), what, cause, next)
}

/// Moves the pods of node `name` elsewhere and lets no new ones come, or lets them come again. Blocks.
pub fn drain(layout: &Layout, name: &str, limit: Duration) -> Result<(), Problem> {
    let limit = format!("--timeout={}s", limit.as_secs());
    kubectl(layout, &["drain", name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", &limit])
}

/// Lets new pods come to a drained node again. Blocks.
pub fn undrain(layout: &Layout, name: &str) -> Result<(), Problem> {
    kubectl(layout, &["uncordon", name])
}

fn kubectl(layout: &Layout, args: &[&str]) -> Result<(), Problem> {
    let failed = |why: String| problem(108, format!("`kubectl {}` failed", args[0]), why, "Read the cause. A pod whose data lie on that host can run nowhere else: `antihate node remove --force` does not wait for it.");
    let env = layout.kubectl_environment(&layout.admin_kubeconfig());
    let (done, _) = once::run(&layout.current().join("kubernetes"), "kubectl", args, &env, |_| Ok::<(), ()>(())).map_err(|e| failed(e.to_string()))?;
    if done.ok { Ok(()) } else { Err(failed(done.stderr)) }
}

/// The host of this name, if it may be removed.
pub fn removable(hosts: &[Host], name: &str) -> Result<Host, Problem> {
    let known = hosts.iter().find(|h| h.name == name).cloned();
    let known = known.ok_or_else(|| problem(109, format!("there is no host {name}"), format!("the cluster has {}", names(hosts)), "Choose one of them; `antihate node list` shows them."))?;
    if known.index == 0 {
        return Err(problem(107, format!("{name} is the first host and cannot be removed"), "the stack's data lie on it, and it looks after the stack", "Take the whole cluster off with `antihate reset` on every host, or keep this host."));
    }
    if known.control && hosts.iter().filter(|h| h.control).count() == 2 {
        tracing::warn!("one control plane is left; if it is lost, nothing can be changed until it is back");
    }
    Ok(known)
}

fn names(hosts: &[Host]) -> String {
    if hosts.is_empty() { "this host alone".into() } else { hosts.iter().map(|h| h.name.as_str()).collect::<Vec<_>>().join(", ") }
}

/// Removes host `name`. `forced`: the host is lost, its pods are not waited for. Returns what it was.
pub async fn remove(layout: &Layout, name: &str, forced: bool, limit: Duration, tell: &dyn Fn(&str)) -> Result<Host, Problem> {
    let cluster = Cluster::connect(&layout.admin_kubeconfig()).await.map_err(|e| e.problem())?;
    let ask = async || Ok((registry::hosts(&cluster).await?.unwrap_or_default(), cluster.node(name).await.map_err(|e| e.problem())?));
    let (hosts, node) = patiently(AT_A_TERMINAL, tell, ask).await?;
    let host = removable(&hosts, name)?;
    if node.is_some() && !forced {
        tell("moving its pods elsewhere");
        let (at, name) = (layout.clone(), name.to_owned());
        blocking(move || drain(&at, &name, limit)).await?;
    }
    // From here on each step may be done again: vote, node, then the list, which is what is asked first.
    if host.control && place::load(layout)?.datastore == Datastore::Etcd {
        tell("taking its vote");
        let (at, gone) = (layout.clone(), host.clone());
        blocking(move || etcd::remove(&at, &gone)).await?;
    }
    tell("closing the API servers to its certificates");
    patiently(AT_A_TERMINAL, tell, async || {
        registry::add_removed(&cluster, &host).await?;
        registry::change_hosts(&cluster, |hosts| {
            hosts.retain(|h| h.name != name);
            Ok(())
        })
        .await?;
        cluster.delete_node(name).await.map_err(|e| e.problem())
    })
    .await?;
    Ok(host)
}

async fn blocking(work: impl FnOnce() -> Result<(), Problem> + Send + 'static) -> Result<(), Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(problem(110, "removing the host broke off", e.to_string(), "Do it again: what is done already is passed over.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joined_host_may_be_removed_and_the_first_one_not() {
        let host = |name: &str, index: u8| Host { name: name.into(), index, address: [192, 0, 2, index].into(), pools: [].into(), control: true, mesh_key: String::new(), version: String::new() };
        let hosts = [host("a", 0), host("b", 1)];
        assert_eq!(removable(&hosts, "b").unwrap().index, 1);
        assert_eq!(removable(&hosts, "a").unwrap_err().code, "HST-107");
        assert_eq!(removable(&hosts, "c").unwrap_err().code, "HST-109");
        assert!(removable(&[], "c").unwrap_err().cause.contains("alone"));
    }
}
