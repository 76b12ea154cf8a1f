//! A new key for the secrets at rest, while the node runs: the new key writes and the old one still reads, every secret is written
//! anew, the old key goes. Killed anywhere, the next call goes on; until then all secrets can be read.

use super::probe::Tls;
use super::settings::API_PORT;
use crate::cluster::Cluster;
use crate::config::layout::Layout;
use crate::pki::encryption::{self, Key};
use crate::status::Problem;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Duration;

/// The API server looks for a changed file once a minute.
const RELOAD: Duration = Duration::from_secs(180);

/// Replaces the key; returns how many secrets were written anew. `now`: seconds since 1970, of which the key's name is made.
pub async fn secrets_key(layout: &Layout, now: i64, tell: &dyn Fn(&str)) -> Result<usize, Problem> {
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
