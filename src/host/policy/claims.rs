//! Addresses that the network plugin has just given, read from the results that it keeps: some seconds before the kubelet
//! tells the API server, so that a pod is reachable from its first moment on.

use crate::host::render::node::NETWORK;
use crate::policy::Claims;
use crate::process::folder::Folder;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Where the plugins' library keeps results.
pub const RESULTS: &str = "/var/lib/cni/results";

/// The folder of results, each file read once: a result never changes.
pub struct Results {
    folder: PathBuf,
    /// By file name; `None` for one that could not be read yet, because it is being written.
    read: BTreeMap<String, Option<Claim>>,
    /// What files said that are gone: it holds for a pod until another file speaks of the pod or of its address.
    past: Claims,
    /// The folder, while the kernel tells of it.
    heard: Option<Folder>,
}

type Claim = (String, Vec<IpAddr>);

impl Results {
    /// Nothing is read yet.
    pub fn new(folder: &Path) -> Results {
        Results { folder: folder.to_path_buf(), read: BTreeMap::new(), past: Claims::new(), heard: None }
    }

    /// Whether the kernel tells of changes; the plugins make the folder with the first pod.
    pub fn is_heard(&self) -> bool {
        self.heard.is_some()
    }

    /// Returns when it is worth a look; never while the kernel does not tell.
    pub async fn changed(&mut self) {
        let Some(folder) = &self.heard else { return std::future::pending().await };
        if !folder.changed().await {
            self.heard = None;
        }
    }

    /// Looks for files that came or went; true when the claims changed. Needs a tokio runtime.
    pub fn look(&mut self) -> bool {
        if self.heard.is_none() {
            // Before the look, so that nothing comes between.
            self.heard = Folder::listen(&self.folder).ok();
        }
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|e| e.file_name().into_string().ok()).filter(|n| n.starts_with(NETWORK));
        let now: BTreeMap<String, Option<Claim>> = names
            .map(|name| {
                let known = self.read.get(&name).cloned().flatten();
                let claim = known.or_else(|| claim(&std::fs::read(self.folder.join(&name)).ok()?));
                (name, claim)
            })
            .collect();
        let changed = now != self.read;
        for (uid, addresses) in self.read.iter().filter(|(name, _)| !now.contains_key(*name)).filter_map(|(_, claim)| claim.as_ref()) {
            self.past.insert(uid.clone(), addresses.clone());
        }
        self.read = now;
        changed
    }

    /// Forgets what was said of pods that are no more.
    pub fn keep(&mut self, exists: impl Fn(&str) -> bool) {
        self.past.retain(|uid, _| exists(uid));
    }

    /// What was given, by pod. Folders can be shared by several nodes; a uid belongs to one.
    pub fn claims(&self) -> Claims {
        let mut all = Claims::new();
        for (uid, addresses) in self.read.values().flatten() {
            all.entry(uid.clone()).or_default().extend(addresses);
        }
        let taken: BTreeSet<IpAddr> = all.values().flatten().copied().collect();
        for (uid, addresses) in self.past.iter().filter(|(_, addresses)| !addresses.iter().any(|ip| taken.contains(ip))) {
            all.entry(uid.clone()).or_insert_with(|| addresses.clone());
        }
        all
    }
}

/// The pod's uid and addresses in a result of ours.
fn claim(text: &[u8]) -> Option<Claim> {
    let result: serde_json::Value = serde_json::from_slice(text).ok()?;
    if result["networkName"] != NETWORK {
        return None;
    }
    let argument = |pair: &serde_json::Value| (pair[0] == "K8S_POD_UID").then(|| pair[1].as_str().map(str::to_owned)).flatten();
    let uid = result["cniArgs"].as_array()?.iter().find_map(argument)?;
    let ips = result["result"]["ips"].as_array()?.iter();
    let addresses = ips.filter_map(|ip| ip["address"].as_str()?.split('/').next()?.parse().ok()).collect();
    Some((uid, addresses))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = r#"{"kind":"cniCacheV1","containerId":"c1","ifName":"eth0","networkName":"antihate","config":"e30=",
        "cniArgs":[["K8S_POD_NAMESPACE","a"],["K8S_POD_UID","u1"]],
        "result":{"cniVersion":"1.0.0","ips":[{"address":"10.42.0.9/24","gateway":"10.42.0.1","interface":1}]}}"#;

    #[tokio::test]
    async fn a_result_is_a_claim_from_when_it_is_whole_until_another_takes_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let mut results = Results::new(dir.path());
        let file = dir.path().join("antihate-c1-eth0");
        std::fs::write(&file, &RESULT[..50]).unwrap();
        std::fs::write(dir.path().join("other-c1-eth0"), RESULT).unwrap();
        results.look();
        assert!(results.claims().is_empty());
        std::fs::write(&file, RESULT).unwrap();
        results.changed().await;
        assert!(results.is_heard() && results.look() && !results.look());
        assert_eq!(results.claims()["u1"], ["10.42.0.9".parse::<IpAddr>().unwrap()]);
        std::fs::remove_file(file).unwrap();
        assert!(results.look() && results.claims().contains_key("u1"), "another's clearing up takes no pod its address");
        std::fs::write(dir.path().join("antihate-c2-eth0"), RESULT.replace("u1", "u2")).unwrap();
        assert!(results.look() && results.claims().keys().eq(["u2"]), "the address is another's now");
        results.keep(|_| false);
        assert!(results.past.is_empty());
    }
}
