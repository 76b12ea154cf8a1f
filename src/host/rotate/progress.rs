//! What a change of keys knows of the cluster: tells the hosts what is wanted, and hears how far they are.

use crate::cluster::Cluster;
use crate::cluster::patience::patiently;
use crate::config::layout::Layout;
use crate::host::hosts::keys::{self as own, reports};
use crate::host::place;
use crate::join::keys::{Change, Wanted};
use crate::join::registry;
use crate::status::Problem;
use std::time::Duration;
use tokio::time::Instant;

/// A host has so long to follow; they may have to do it one after the other.
const PATIENCE: Duration = Duration::from_secs(240);
const LOOK: Duration = Duration::from_secs(2);

/// A change that this host leads.
pub struct Progress {
    layout: Layout,
    change: Change,
    own: String,
    begun: bool,
    last: Option<Wanted>,
    waiting: Option<(Instant, Vec<String>)>,
}

impl Progress {
    /// Begins, or goes on with what was begun here. Refused while another change is open, and where another control plane leads
    /// this one and is further.
    pub async fn begin(layout: &Layout, change: Change, tell: &dyn Fn(&str)) -> Result<Progress, Problem> {
        let place = place::load(layout)?;
        let mut progress = Progress { layout: layout.clone(), change, own: String::new(), begun: false, last: None, waiting: None };
        let own = place.hosts.iter().find(|h| h.index == place.index).map(|h| h.name.clone());
        // A change that is called again goes on while a host is cut off, and with it the majority of the datastore.
        let ask = async || {
            let api = progress.api().await?;
            let own = match &own {
                Some(name) => name.clone(),
                None => api.nodes().await.map_err(|e| e.problem())?.into_iter().next().map(|n| n.name).unwrap_or_default(),
            };
            Ok((own, registry::wanted(&api).await?))
        };
        let (own, wanted) = patiently(PATIENCE, tell, ask).await?;
        progress.own = own;
        let Some(wanted) = wanted else { return Ok(progress) };
        if let Some(other) = wanted.open.filter(|open| *open != change) {
            let cause = format!("it was begun on {}", wanted.from);
            return Err(Problem::new("ROT-109", "another change of the cluster's keys is open", cause, format!("Finish it there first: `{}`.", other.command())));
        }
        let leads = wanted.from != progress.own && place.hosts.iter().any(|h| h.name == wanted.from);
        if leads && wanted.held != own::in_files(layout, true) {
            let cause = format!("{} leads the change, and this host has not followed yet", wanted.from);
            return Err(Problem::new("ROT-110", "this host does not hold the cluster's newest keys", cause, format!("Call `{}` on {}, or here once this host has followed.", change.command(), wanted.from)));
        }
        progress.begun = wanted.open.is_some();
        Ok(progress)
    }

    /// A client of this host's API server; made anew, because its certificate is among what changes.
    pub async fn api(&self) -> Result<Cluster, Problem> {
        Cluster::connect(&self.layout.admin_kubeconfig()).await.map_err(|e| e.problem())
    }

    /// Writes every secret anew with the first key; returns how many.
    pub async fn rewrite(&self) -> Result<usize, Problem> {
        patiently(PATIENCE, &|_| {}, async || self.api().await?.rewrite_secrets().await.map_err(|e| e.problem())).await
    }

    /// Tells the hosts to hold what lies in this host's files; `under_way`: a step was taken already. Returns whether the change is open.
    pub async fn publish(&mut self, under_way: bool) -> Result<bool, Problem> {
        self.begun |= under_way;
        let wanted = Wanted { from: self.own.clone(), open: self.begun.then_some(self.change), held: own::in_files(&self.layout, true) };
        if self.last.as_ref() != Some(&wanted) {
            patiently(PATIENCE, &|_| {}, async || registry::want(&self.api().await?, &wanted).await).await?;
            self.last = Some(wanted);
        }
        Ok(self.begun)
    }

    /// Hosts that have not followed.
    pub async fn lagging(&self) -> Result<Vec<String>, Problem> {
        let wanted = self.last.as_ref().expect("it was published");
        let ask = async || {
            let api = self.api().await?;
            Ok((registry::hosts(&api).await?.unwrap_or_default(), api.nodes().await.map_err(|e| e.problem())?))
        };
        let (hosts, nodes) = patiently(PATIENCE, &|_| {}, ask).await?;
        let lagging = wanted.lagging(self.change, &hosts, &reports(&nodes));
        // A host that is alone is no host of the list that reports.
        Ok(if hosts.len() > 1 { lagging } else { Vec::new() })
    }

    /// Waits a moment for these, as long as they get on.
    pub async fn wait(&mut self, hosts: &[String], tell: &dyn Fn(&str)) -> Result<(), Problem> {
        match &self.waiting {
            Some((since, same)) if same == hosts => {
                if since.elapsed() > PATIENCE {
                    return Err(late(hosts, self.change));
                }
            }
            _ => {
                tell(&format!("waiting for {}", hosts.join(", ")));
                self.waiting = Some((Instant::now(), hosts.to_vec()));
            }
        }
        tokio::time::sleep(LOOK).await;
        Ok(())
    }

    /// Everybody has followed.
    pub async fn close(&mut self) -> Result<(), Problem> {
        self.begun = false;
        self.publish(false).await.map(drop)
    }
}

fn late(hosts: &[String], change: Change) -> Problem {
    let names = hosts.join(", ");
    let next = format!("Nothing is lost, and what was changed so far stays. Switch {names} on and see `antihate status` there, then call `{0}` again: it goes on where it was. A host that is lost for good: `antihate node remove NAME --force`, then `{0}`.", change.command());
    Problem::new("ROT-108", "hosts of the cluster have not followed", format!("{names} did not report within {} s", PATIENCE.as_secs()), next)
}
