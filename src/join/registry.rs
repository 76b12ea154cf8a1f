//! Who belongs to the cluster and which codes are open, kept in the datastore, so that every control plane knows the same.

use super::decide::Issued;
use super::problem;
use crate::cluster::documents::{Document, Drawer};
use crate::cluster::Cluster;
use crate::config::place::Host;
use crate::status::Problem;
use chrono::Utc;
use serde::Serialize;
use serde::de::DeserializeOwned;

const HOSTS: (Drawer, &str) = (Drawer::ConfigMap, "antihate-hosts");
const CODES: (Drawer, &str) = (Drawer::Secret, "antihate-join-codes");
/// How often a change is tried again when somebody else was faster.
const TRIES: u32 = 10;

/// The list of hosts; `None` where none was ever written, or the datastore was made anew.
pub async fn hosts(cluster: &Cluster) -> Result<Option<Vec<Host>>, Problem> {
    Ok(read(cluster, HOSTS).await?.1)
}

/// The codes that are open or were used.
pub async fn codes(cluster: &Cluster) -> Result<Vec<Issued>, Problem> {
    Ok(read(cluster, CODES).await?.1.unwrap_or_default())
}

/// Changes the list of hosts; `change` may be asked again, and its problem ends the try.
pub async fn change_hosts<T>(cluster: &Cluster, change: impl FnMut(&mut Vec<Host>) -> Result<T, Problem>) -> Result<T, Problem> {
    self::change(cluster, HOSTS, change).await
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

async fn read<L: DeserializeOwned>(cluster: &Cluster, (drawer, name): (Drawer, &str)) -> Result<(Option<Document>, Option<Vec<L>>), Problem> {
    let found = cluster.document(drawer, name).await.map_err(|e| e.problem())?;
    let list = found.as_ref().map(|d| serde_json::from_str(&d.text).map_err(|e| unreadable(name, &e))).transpose()?;
    Ok((found, list))
}

async fn change<L: Serialize + DeserializeOwned + Clone + PartialEq, T>(cluster: &Cluster, place: (Drawer, &str), mut change: impl FnMut(&mut Vec<L>) -> Result<T, Problem>) -> Result<T, Problem> {
    for _ in 0..TRIES {
        let (before, list) = read::<L>(cluster, place).await?;
        let old = list.unwrap_or_default();
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
    problem(114, "the cluster's list of hosts or codes cannot be read", format!("{name} in kube-system: {e}"), format!("If nobody is to mend it, delete it with `antihate kubectl -n kube-system delete configmap,secret {name}`: it is made anew."))
}
