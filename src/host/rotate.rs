//! New keys while the node runs.
//!
//! For the secrets at rest: the new key writes and the old one still reads, every secret is written
//! anew, the old key goes. For the authority: see [`rotation`]; the host process starts the components anew after each step. Killed
//! anywhere, the next call goes on; until then all secrets can be read and everybody is trusted who was before.

use super::place;
use super::probe::Tls;
use super::settings::API_PORT;
use crate::cluster::Cluster;
use crate::config::layout::Layout;
use crate::cluster::ObjectRef;
use crate::pki::cluster;
use crate::pki::encryption::{self, Key};
use crate::pki::rotation::{self, Phase};
use crate::status::Problem;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Duration;

/// The API server looks for a changed file once a minute.
const RELOAD: Duration = Duration::from_secs(180);

/// Replaces the key; returns how many secrets were written anew. `now`: seconds since 1970, of which the key's name is made.
pub async fn secrets_key(layout: &Layout, now: i64, tell: &dyn Fn(&str)) -> Result<usize, Problem> {
    if place::load(layout)?.elects() {
        return Err(several("every control plane would need the new key at the same moment"));
    }
    let dir = layout.pki();
    let keys = next(encryption::keys(&dir), now)
        .ok_or_else(|| Problem::new("ROT-101", "there is no key to replace", format!("{} is not there or not whole", encryption::file(&dir).display()), "start the node with `antihate up`; a lost key is made anew there"))?;
    let written = |keys: &[Key]| {
        encryption::write(&dir, keys).map_err(|e| Problem::new("ROT-102", e.to_string(), cause(&e), "free space on the disk, then try again: nothing is lost"))
    };
    written(&keys)?;
    tell("waiting until the API server has read the new key; it looks once a minute");
    loaded(&dir).await?;
    tell("writing every secret with the new key");
    let cluster = Cluster::connect(&layout.admin_kubeconfig()).await.map_err(|e| e.problem())?;
    let count = cluster.rewrite_secrets().await.map_err(|e| e.problem())?;
    written(&keys[..1])?;
    tell("waiting until the API server has forgotten the old key");
    loaded(&dir).await?;
    Ok(count)
}

/// What is not there yet for several hosts.
fn several(why: &str) -> Problem {
    Problem::new("ROT-107", "this is not possible yet while the cluster has several hosts", why, "Nothing was changed. With `antihate node remove` for the others it is possible, and they can join again afterwards.")
}

/// A new key before the one there is; what an earlier call has begun is gone on with.
fn next(mut keys: Vec<Key>, now: i64) -> Option<Vec<Key>> {
    if keys.len() == 1 {
        keys.insert(0, Key::new(format!("k{now}")));
    }
    (keys.len() > 1).then_some(keys)
}

/// Waits until the API server works with the file as it is now: its figures name the file's sum.
async fn loaded(pki: &Path) -> Result<(), Problem> {
    let late = |cause: String| Problem::new("ROT-103", "the API server does not take the new key", cause, "see `antihate status`; when the node is well, try again: it goes on where it was");
    let sum = std::fs::read(encryption::file(pki)).map(|raw| format!("hash=\"sha256:{}\"", hex::encode(Sha256::digest(raw)))).map_err(|e| late(e.to_string()))?;
    let wait = async {
        loop {
            // The certificate may be renewed meanwhile.
            if let Ok(tls) = Tls::new(pki)
                && let Ok(figures) = tls.get(API_PORT, "/metrics").await
                && figures.windows(sum.len()).any(|w| w == sum.as_bytes())
            {
                return;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    tokio::time::timeout(RELOAD, wait).await.map_err(|_| late(format!("it was not read within {} s", RELOAD.as_secs())))
}

/// The kubelet may take so long to give pods what they are to trust.
const PODS: Duration = Duration::from_secs(120);
/// After a step the components are up again within this.
const AGAIN: Duration = Duration::from_secs(300);
/// A namespace whose pods ask the API server.
const WITH_API: &str = "kube-system";

/// Gives the cluster another authority; takes about five minutes. `now` as above.
pub async fn authority(layout: &Layout, now: i64, tell: &dyn Fn(&str)) -> Result<(), Problem> {
    if place::load(layout)?.is_joined() {
        return Err(several("joined hosts would go on trusting the old authority"));
    }
    let dir = layout.pki();
    let begun = time::OffsetDateTime::from_unix_timestamp(now).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let changed = |done: Result<(), crate::pki::cluster::PkiError>| {
        done.map_err(|e| Problem::new("ROT-104", e.to_string(), cause(&e), "free space on the disk, then try again: it goes on where it was"))
    };
    started(layout, &dir).await?;
    if rotation::phase(&dir) == Phase::Idle {
        changed(rotation::announce(&dir, begun))?;
    }
    if rotation::phase(&dir) == Phase::Announced {
        tell("1 of 3  everybody learns to trust the next authority");
        started(layout, &dir).await?;
        told(layout, &dir).await?;
        tokio::time::sleep(PODS).await;
        changed(rotation::promote(&dir))?;
    }
    tell("2 of 3  the next authority signs every certificate");
    started(layout, &dir).await?;
    tell("3 of 3  the old authority is forgotten");
    changed(rotation::forget(&dir))?;
    started(layout, &dir).await
}

/// Waits until nothing is due any more and the node is healthy.
async fn started(layout: &Layout, pki: &Path) -> Result<(), Problem> {
    let healthy = || {
        let raw = std::fs::read(layout.status()).unwrap_or_default();
        serde_json::from_slice::<crate::status::NodeStatus>(&raw).is_ok_and(|s| s.healthy)
    };
    let wait = async {
        while cluster::is_due(pki, super::settings::API_PORT, time::OffsetDateTime::now_utc()) || !healthy() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let late = |_| Problem::new("ROT-105", "the node is not healthy", "its components were not started anew in time", "see `antihate status`; when the node is well, try again: it goes on where it was");
    tokio::time::timeout(AGAIN, wait).await.map_err(late)
}

/// Waits until the cluster tells its pods to trust what is to be trusted.
async fn told(layout: &Layout, pki: &Path) -> Result<(), Problem> {
    let wanted = std::fs::read_to_string(rotation::trust(pki)).unwrap_or_default();
    let map = ObjectRef { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: Some(WITH_API.into()), name: "kube-root-ca.crt".into() };
    let api = Cluster::connect(&layout.admin_kubeconfig()).await.map_err(|e| e.problem())?;
    let wait = async {
        loop {
            let there = api.get(&map).await.ok().flatten().and_then(|m| Some(m.pointer("/data/ca.crt")?.as_str()?.trim() == wanted.trim()));
            if there == Some(true) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(AGAIN, wait).await.map_err(|_| Problem::new("ROT-106", "pods are not told of the next authority", "the controller manager did not publish it", "see `antihate logs kube-controller-manager`, then try again: it goes on where it was"))
}

fn cause(e: &dyn std::error::Error) -> String {
    e.source().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_begins_with_a_new_key_and_goes_on_with_the_one_it_began_with() {
        assert_eq!(next(Vec::new(), 7), None);
        let old = Key::new("first".into());
        let both = next(vec![old.clone()], 7).unwrap();
        assert_eq!((both[0].name.as_str(), &both[1]), ("k7", &old));
        assert_ne!(both[0].secret, old.secret);
        assert_eq!(next(both.clone(), 9), Some(both), "killed after the first step");
    }
}
