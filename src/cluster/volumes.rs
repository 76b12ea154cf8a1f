//! Persistent volumes: how they stand, and freeing one whose claim is gone.

use super::{Cluster, ClusterError, ObjectRef};
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;
use std::path::PathBuf;

/// How a volume stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A claim has it.
    Bound,
    /// Its claim is gone.
    Released,
    /// Anything else.
    Other,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub phase: Phase,
    /// Its folder on the host.
    pub path: Option<PathBuf>,
}

impl Cluster {
    /// All persistent volumes.
    pub async fn volumes(&self) -> Result<Vec<Volume>, ClusterError> {
        let all = Api::<PersistentVolume>::all(self.client.clone()).list(&ListParams::default()).await.map_err(|e| ClusterError::of(&named("*"), e))?;
        Ok(all.items.into_iter().map(read).collect())
    }

    /// Lets the next claim of the same name have the volume: the old claim's identity is taken off, its name stays.
    pub async fn free_volume(&self, name: &str) -> Result<(), ClusterError> {
        let change = Patch::Merge(json!({"spec": {"claimRef": {"uid": null, "resourceVersion": null}}}));
        self.api(&named(name)).patch(name, &PatchParams::default(), &change).await.map(drop).map_err(|e| ClusterError::of(&named(name), e))
    }
}

fn named(name: &str) -> ObjectRef {
    ObjectRef { api_version: "v1".into(), kind: "PersistentVolume".into(), namespace: None, name: name.into() }
}

fn read(volume: PersistentVolume) -> Volume {
    let phase = match volume.status.and_then(|s| s.phase).as_deref() {
        Some("Bound") => Phase::Bound,
        Some("Released") => Phase::Released,
        _ => Phase::Other,
    };
    let path = volume.spec.and_then(|s| s.host_path).map(|h| h.path.into());
    Volume { name: volume.metadata.name.unwrap_or_default(), phase, path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phase_and_folder_are_read() {
        let raw = json!({"metadata": {"name": "v"}, "spec": {"hostPath": {"path": "/x"}}, "status": {"phase": "Released"}});
        let volume = read(serde_json::from_value(raw).unwrap());
        assert_eq!(volume, Volume { name: "v".into(), phase: Phase::Released, path: Some("/x".into()) });
    }
}
