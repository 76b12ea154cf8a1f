//! Who belongs to the cluster, which codes are open and which keys are to be held, kept in the datastore, so that every control plane knows the same.

use super::decide::Issued;
use super::keys::Wanted;
use super::problem;
use crate::cluster::documents::{Document, Drawer};
use crate::cluster::Cluster;
use crate::config::place::Host;
use crate::status::Problem;
use crate::pki::cluster::LIFE;
use crate::pki::mesh;
use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const HOSTS: (Drawer, &str) = (Drawer::ConfigMap, "antihate-hosts");
const CODES: (Drawer, &str) = (Drawer::Secret, "antihate-join-codes");
const REMOVED: (Drawer, &str) = (Drawer::ConfigMap, "antihate-removed-hosts");
const WANTED: (Drawer, &str) = (Drawer::ConfigMap, "antihate-keys");
/// How often a change is tried again when somebody else was faster.
const TRIES: u32 = 10;

/// The list of hosts; `None` where none was ever written, or the datastore was made anew.
pub async fn hosts(cluster: &Cluster) -> Result<Option<Vec<Host>>, Problem> {
    Ok(read::<Vec<Host>>(cluster, HOSTS).await?.1)
}

/// The codes that are open or were used.
pub async fn codes(cluster: &Cluster) -> Result<Vec<Issued>, Problem> {
    Ok(read::<Vec<Issued>>(cluster, CODES).await?.1.unwrap_or_default())
}

/// A host that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// What it is called in its certificates, beside its name.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When that was.
    pub at: DateTime<Utc>,
}

/// Hosts that were removed and whose certificates have not ended yet.
pub async fn removed(cluster: &Cluster) -> Result<Vec<Removed>, Problem> {
    Ok(read::<Vec<Removed>>(cluster, REMOVED).await?.1.unwrap_or_default())
}

/// Adds one to them.
pub async fn add_removed(cluster: &Cluster, host: &Host) -> Result<(), Problem> {
    let now = Utc::now();
    // Certificates begin a day before they are made.
    let ended = now - TimeDelta::seconds(LIFE.whole_seconds()) - TimeDelta::days(1);
    self::change::<Vec<Removed>, ()>(cluster, REMOVED, |all| {
        let id = mesh::id(&host.mesh_key);
        all.retain(|r| r.at > ended && r.id != id);
        all.push(Removed { id, name: host.name.clone(), at: now });
        Ok(())
    })
    .await
}

/// Which keys every host is to hold, as sums; `None` where none were ever changed.
pub async fn wanted(cluster: &Cluster) -> Result<Option<Wanted>, Problem> {
    Ok(read::<Option<Wanted>>(cluster, WANTED).await?.1.flatten())
}

/// Tells every host which keys it is to hold.
pub async fn want(cluster: &Cluster, wanted: &Wanted) -> Result<(), Problem> {
    self::change(cluster, WANTED, |now: &mut Option<Wanted>| {
        *now = Some(wanted.clone());
        Ok(())
    })
    .await
}

/// Changes the list of hosts; `change` may be asked again, and its problem ends the try.
pub async fn change_hosts<T>(cluster: &Cluster, change: impl FnMut(&mut Vec<Host>) -> Result<T, Problem>) -> Result<T, Problem> {
    self::change::<Vec<Host>, T>(cluster, HOSTS, change).await
}

/// Changes the codes; those whose hour is over go.
pub async fn change_codes<T>(cluster: &Cluster, mut change: impl FnMut(&mut Vec<Issued>) -> Result<T, Problem>) -> Result<T, Problem> {
    let now = Utc::now();
    self::change(cluster, CODES, |codes: &mut Vec<Issued>| {
        codes.retain(|c| c.expires > now);
        change(codes)
    })
    .await
}

async fn read<D: DeserializeOwned>(cluster: &Cluster, (drawer, name): (Drawer, &str)) -> Result<(Option<Document>, Option<D>), Problem> {
    let found = cluster.document(drawer, name).await.map_err(|e| e.problem())?;
    let list = found.as_ref().map(|d| serde_json::from_str(&d.text).map_err(|e| unreadable(name, &e))).transpose()?;
    Ok((found, list))
}

async fn change<D: Serialize + DeserializeOwned + Default + Clone + PartialEq, T>(cluster: &Cluster, place: (Drawer, &str), mut change: impl FnMut(&mut D) -> Result<T, Problem>) -> Result<T, Problem> {
    for _ in 0..TRIES {
        let (before, found) = read::<D>(cluster, place).await?;
        let old = found.unwrap_or_default();
        let mut new = old.clone();
        let made = change(&mut new)?;
        if before.is_some() && new == old {
            return Ok(made);
        }
        let text = serde_json::to_string_pretty(&new).expect("plain data");
        if cluster.write_document(place.0, place.1, before.as_ref(), &text).await.map_err(|e| e.problem())? {
            return Ok(made);
        }
    }
    Err(problem(113, "the list could not be changed", format!("others changed {} at the same time again and again", place.1), "Try again."))
}

fn unreadable(name: &str, e: &serde_json::Error) -> Problem {
    problem(114, "the cluster's list of hosts, codes or keys cannot be read", format!("{name} in kube-system: {e}"), format!("If nobody is to mend it, delete it with `antihate kubectl -n kube-system delete configmap,secret {name}`: it is made anew."))
}
