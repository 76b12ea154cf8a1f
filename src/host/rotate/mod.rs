//! New keys while the cluster runs, one step at a time: the host on which the command runs is the pattern, all others follow it by
//! themselves, and no step is taken before every host reports the one before it (see [`keys`](crate::join::keys)).
//!
//! For the secrets at rest: the new key reads on every control plane, then it writes, every secret is written anew, the old key goes.
//! For the authority: see [`rotation`]; the host processes start the components anew after each step. Killed anywhere, the next call
//! goes on; until then all secrets can be read and everybody is trusted who was before.

mod progress;

use super::hosts::keys as own;
use super::place;
use crate::cluster::ObjectRef;
use crate::config::layout::Layout;
use crate::join::keys::{self, Authority, Change, Keys, Next, Secrets};
use crate::pki::cluster;
use crate::pki::encryption::{self, Key};
use crate::pki::rotation::{self, Phase};
use crate::status::Problem;
use progress::Progress;
use std::path::Path;
use std::time::Duration;

/// The API server looks for a changed file once a minute.
const RELOAD: Duration = Duration::from_secs(180);

/// Replaces the key; returns how many secrets were written anew. `now`: seconds since 1970, of which the key's name is made.
pub async fn secrets_key(layout: &Layout, now: i64, tell: &dyn Fn(&str)) -> Result<usize, Problem> {
    let dir = layout.pki();
    let missing = || Problem::new("ROT-101", "there is no key to replace", format!("{} is not there or not whole", encryption::file(&dir).display()), "start the node with `antihate up`; a lost key is made anew there");
    let written = |keys: &[Key]| encryption::write(&dir, keys).map_err(|e| Problem::new("ROT-102", e.to_string(), cause(&e), "free space on the disk, then try again: nothing is lost"));
    let (mut progress, mut count) = (Progress::begin(layout, Change::Secrets, tell).await?, None);
    loop {
        let present = encryption::keys(&dir);
        let at = how_far(&present).ok_or_else(missing)?;
        loaded(&dir).await?;
        let begun = progress.publish(at != Keys::One).await?;
        let controls = place::load(layout)?.controls().count();
        match keys::secrets(at, controls, begun, progress.lagging().await?) {
            Next::Wait(hosts) => progress.wait(&hosts, tell).await?,
            Next::Take(Secrets::Read) => {
                tell("every control plane gets the new key, to read with it");
                written(&[present, vec![Key::new(format!("k{now}"))]].concat())?;
            }
            Next::Take(Secrets::Write) => {
                tell("waiting until the API server has read the new key; it looks once a minute");
                let new = if at == Keys::One { Key::new(format!("k{now}")) } else { present[1].clone() };
                written(&[new, present[0].clone()])?;
            }
            Next::Take(Secrets::Rewrite) => {
                tell("writing every secret with the new key");
                count = Some(progress.rewrite().await?);
                tell("waiting until the API server has forgotten the old key");
                written(&present[..1])?;
            }
            Next::Done => {
                progress.close().await?;
                // One that was cut off after the last step counts here what was written then.
                return if let Some(count) = count { Ok(count) } else { progress.rewrite().await };
            }
        }
    }
}

/// How far the keys in the file have come; nothing where there are none. The newer of two is the one that was made later.
fn how_far(keys: &[Key]) -> Option<Keys> {
    let made = |key: &Key| key.name.strip_prefix('k').and_then(|at| at.parse::<i64>().ok()).unwrap_or(0);
    match keys {
        [] => None,
        [_] => Some(Keys::One),
        [first, second, ..] => Some(if made(first) > made(second) { Keys::Writes } else { Keys::Reads }),
    }
}

/// Waits until the API server of this host works with the file as it is now.
async fn loaded(pki: &Path) -> Result<(), Problem> {
    let late = |cause: String| Problem::new("ROT-103", "the API server does not take the new key", cause, "see `antihate status`; when the node is well, try again: it goes on where it was");
    let sum = std::fs::read(encryption::file(pki)).map(own::sum).map_err(|e| late(e.to_string()))?;
    let wait = async {
        while !own::works_with(pki, &sum).await {
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

/// Gives the cluster another authority; takes about five minutes, with several hosts a minute more for each. `now` as above.
pub async fn authority(layout: &Layout, now: i64, tell: &dyn Fn(&str)) -> Result<(), Problem> {
    let dir = layout.pki();
    let at = time::OffsetDateTime::from_unix_timestamp(now).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let changed = |done: Result<(), cluster::PkiError>| done.map_err(|e| Problem::new("ROT-104", e.to_string(), cause(&e), "free space on the disk, then try again: it goes on where it was"));
    started(layout, &dir).await?;
    let mut progress = Progress::begin(layout, Change::Authority, tell).await?;
    loop {
        started(layout, &dir).await?;
        let phase = rotation::phase(&dir);
        let begun = progress.publish(phase != Phase::Idle).await?;
        match keys::authority(phase, begun, progress.lagging().await?) {
            Next::Wait(hosts) => progress.wait(&hosts, tell).await?,
            Next::Take(Authority::Announce) => {
                tell("1 of 3  everybody learns to trust the next authority");
                changed(rotation::announce(&dir, at))?;
            }
            Next::Take(Authority::Promote) => {
                told(&progress, &dir).await?;
                tokio::time::sleep(PODS).await;
                tell("2 of 3  the next authority signs every certificate");
                changed(rotation::promote(&dir))?;
            }
            Next::Take(Authority::Forget) => {
                tell("3 of 3  the old authority is forgotten");
                changed(rotation::forget(&dir))?;
            }
            Next::Done => return progress.close().await,
        }
    }
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
async fn told(progress: &Progress, pki: &Path) -> Result<(), Problem> {
    let wanted = std::fs::read_to_string(rotation::trust(pki)).unwrap_or_default();
    let map = ObjectRef { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: Some(WITH_API.into()), name: "kube-root-ca.crt".into() };
    let api = progress.api().await?;
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
    fn the_order_of_two_keys_tells_whether_the_newer_one_writes() {
        let key = |name: &str| Key::new(name.into());
        assert_eq!(how_far(&[]), None);
        assert_eq!(how_far(&[key("k7")]), Some(Keys::One));
        assert_eq!(how_far(&[key("first"), key("k7")]), Some(Keys::Reads));
        assert_eq!(how_far(&[key("k7"), key("first")]), Some(Keys::Writes));
        assert_eq!((how_far(&[key("k7"), key("k12")]), how_far(&[key("k12"), key("k7")])), (Some(Keys::Reads), Some(Keys::Writes)));
    }
}
