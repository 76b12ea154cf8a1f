//! The inventory: which objects are ours, so that what we no longer want is pruned.
//!
//! It lives in a ConfigMap and is written before the first apply with old and new objects together, so that an apply that
//! ends half way forgets nothing; after pruning it holds the new ones only.

use super::{Cluster, ClusterError, ObjectRef};
use serde_json::json;

/// Where the inventory lies.
const NAMESPACE: &str = "kube-system";
const NAME: &str = "antihate-inventory";

/// Objects of the old inventory that are no longer wanted, in the reverse order of their making.
pub fn stale(old: &[ObjectRef], wanted: &[ObjectRef]) -> Vec<ObjectRef> {
    old.iter().rev().filter(|o| !wanted.iter().any(|w| same(o, w))).cloned().collect()
}

/// Both, the old first, each once: what is written before applying.
pub fn united(old: &[ObjectRef], wanted: &[ObjectRef]) -> Vec<ObjectRef> {
    let mut all = old.to_vec();
    all.extend(wanted.iter().filter(|w| !old.contains(w)).cloned());
    all
}

/// A new API version of the same kind is the same object.
fn same(a: &ObjectRef, b: &ObjectRef) -> bool {
    let group = |o: &ObjectRef| o.api_version.rsplit_once('/').map(|(g, _)| g.to_owned());
    a.kind == b.kind && a.name == b.name && a.namespace == b.namespace && group(a) == group(b)
}

impl Cluster {
    /// Reads the inventory; empty where there is none yet.
    pub async fn inventory(&self) -> Result<Vec<ObjectRef>, ClusterError> {
        let found = self.get(&place()).await?;
        let text = found.as_ref().and_then(|m| m.pointer("/data/objects")).and_then(|v| v.as_str()).unwrap_or("[]");
        Ok(serde_json::from_str(text).unwrap_or_default())
    }

    /// Writes the inventory.
    pub async fn set_inventory(&self, objects: &[ObjectRef]) -> Result<(), ClusterError> {
        let text = serde_json::to_string(objects).expect("names are JSON");
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": NAMESPACE}, "data": {"objects": text}});
        self.apply(&map).await.map(drop)
    }
}

fn place() -> ObjectRef {
    ObjectRef { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: Some(NAMESPACE.into()), name: NAME.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(api_version: &str, name: &str) -> ObjectRef {
        ObjectRef { api_version: api_version.into(), kind: "Deployment".into(), namespace: Some("a".into()), name: name.into() }
    }

    #[test]
    fn what_is_no_longer_wanted_goes_in_reverse_order() {
        let old = [object("apps/v1", "one"), object("apps/v1", "two"), object("apps/v1", "three")];
        assert_eq!(stale(&old, &old[1..2]), [old[2].clone(), old[0].clone()]);
    }

    #[test]
    fn a_new_api_version_of_an_object_does_not_delete_it() {
        assert_eq!(stale(&[object("apps/v1beta1", "one")], &[object("apps/v1", "one")]), []);
    }

    #[test]
    fn before_applying_the_inventory_names_old_and_new_objects_once() {
        let (one, two) = (object("apps/v1", "one"), object("apps/v1", "two"));
        assert_eq!(united(std::slice::from_ref(&one), &[one.clone(), two.clone()]), [one, two]);
    }
}
