//! Volumes: folders below the data root, each bound beforehand to its one claim.
//!
//! Restricted pods may not mount host paths, but they may use claims. What a claim asks for is nominal and the same on every host,
//! because a claim cannot shrink and a StatefulSet's template cannot change; what a volume offers follows from the disk (`Volumes`).
//! The kernel does not enforce it: each program's own retention bounds the disk, and the host tells of a volume that is too full.

use super::common::{ANALYZERS, MONITORING, OBSERVERS, STORAGE, SYSTEM, object};
use crate::config::layout::Layout;
use crate::config::{GIB, Resolved, Volumes};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The storage class of the node's own folders.
pub const CLASS: &str = "antihate-local";
/// Nominal size of a volume that is written.
pub const NOMINAL: &str = "4Gi";
/// The same as a number.
pub const NOMINAL_GIB: u64 = Volumes::LEAST;

/// A folder that must be there, with owner and mode, before the volumes are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Absolute path.
    pub path: PathBuf,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

struct Volume {
    name: &'static str,
    namespace: &'static str,
    claim: &'static str,
    mode: &'static str,
    folder: &'static str,
    user: u32,
    bits: u32,
    /// What it offers, GiB.
    size: fn(&Volumes) -> u64,
    /// Whether posts lie in it: only a reset removes them.
    posts: bool,
    /// Whether the claim is ours to apply; a StatefulSet makes its own.
    apply_claim: bool,
}

const VOLUMES: [Volume; 5] = [
    Volume { name: "antihate-postgres", namespace: STORAGE, claim: "data-postgres-0", mode: "ReadWriteOnce", folder: "volumes/postgres", user: 999, bits: 0o700, size: |v| v.postgres, posts: true, apply_claim: false },
    Volume { name: "antihate-kafka", namespace: SYSTEM, claim: "data-kafka-0", mode: "ReadWriteOnce", folder: "volumes/kafka", user: 1001, bits: 0o700, size: |v| v.kafka, posts: true, apply_claim: false },
    Volume { name: "antihate-prometheus", namespace: MONITORING, claim: "prometheus-data", mode: "ReadWriteOnce", folder: "volumes/prometheus", user: 65534, bits: 0o700, size: |v| v.prometheus, posts: false, apply_claim: true },
    Volume { name: "antihate-import", namespace: OBSERVERS, claim: "import-folder", mode: "ReadWriteOnce", folder: "volumes/import", user: 65532, bits: 0o770, size: |v| v.import, posts: true, apply_claim: true },
    Volume { name: "antihate-models", namespace: ANALYZERS, claim: "ml-models-pvc", mode: "ReadOnlyMany", folder: "models", user: 0, bits: 0o755, size: |v| v.models, posts: false, apply_claim: true },
];

/// The folders behind the volumes, for the host to prepare.
pub fn folders(layout: &Layout) -> Vec<Folder> {
    VOLUMES.iter().map(|v| Folder { path: layout.data.join(v.folder), uid: v.user, gid: v.user, mode: v.bits }).collect()
}

/// One of the node's volumes, for the host to look after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Name of the volume.
    pub name: &'static str,
    /// Absolute path of its folder.
    pub path: PathBuf,
    /// What it may hold, bytes.
    pub capacity: u64,
    /// Whether posts lie in it: only a reset removes them.
    pub posts: bool,
}

/// The volumes that are written to.
pub fn kept(layout: &Layout, sizes: &Volumes) -> Vec<Kept> {
    let written = VOLUMES.iter().filter(|v| v.folder.starts_with("volumes/"));
    written.map(|v| Kept { name: v.name, path: layout.data.join(v.folder), capacity: (v.size)(sizes) * GIB, posts: v.posts }).collect()
}

/// Storage class, volumes, then the claims that no template makes.
pub fn objects(resolved: &Resolved) -> Vec<Value> {
    let class = json!({
        "provisioner": "kubernetes.io/no-provisioner",
        "reclaimPolicy": "Retain",
        "volumeBindingMode": "Immediate",
    });
    let mut all = vec![object("storage.k8s.io/v1", "StorageClass", None, CLASS, &[], class)];
    all.extend(VOLUMES.iter().map(|v| persistent(v, resolved)));
    all.extend(VOLUMES.iter().filter(|v| v.apply_claim).map(claim));
    all
}

fn persistent(v: &Volume, resolved: &Resolved) -> Value {
    let mut spec = json!({
        "capacity": {"storage": format!("{}Gi", (v.size)(&resolved.sizes.volumes))},
        "accessModes": [v.mode],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": CLASS,
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": v.namespace, "name": v.claim},
        "hostPath": {"path": resolved.host.data.join(v.folder), "type": "Directory"},
    });
    // What is written lies on one host; models are the same on all of them.
    if let Some(home) = resolved.home.as_ref().filter(|_| v.mode != "ReadOnlyMany") {
        let there = json!([{"key": "kubernetes.io/hostname", "operator": "In", "values": [home]}]);
        spec["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": there}]}});
    }
    object("v1", "PersistentVolume", None, v.name, &[], json!({ "spec": spec }))
}

fn claim(v: &Volume) -> Value {
    let spec = json!({
        "accessModes": [v.mode],
        "storageClassName": CLASS,
        "volumeName": v.name,
        "resources": {"requests": {"storage": NOMINAL}},
    });
    object("v1", "PersistentVolumeClaim", Some(v.namespace), v.claim, &[], json!({ "spec": spec }))
}
