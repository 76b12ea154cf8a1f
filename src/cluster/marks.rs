//! By what an object is known to be as it was: so that a pass over everything asks once a kind, and writes only what has drifted.

use super::{Cluster, ClusterError, ObjectRef};
use crate::manifests::MANAGED_BY;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ObjectMeta, PartialObjectMeta};
use std::collections::BTreeMap;

/// Differs when an object's specification, labels or annotations have changed. Where the API counts no generations, any write
/// makes it differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(String);

/// Marks of the objects of one kind that are ours.
pub type Marks = BTreeMap<(Option<String>, String), Mark>;

impl Mark {
    /// The mark of an object with this head.
    pub fn of(head: &ObjectMeta) -> Mark {
        let counted = head.generation.filter(|g| *g > 0).map(|g| format!("g{g}"));
        let state = counted.or_else(|| head.resource_version.clone()).unwrap_or_default();
        Mark(serde_json::json!([head.uid, state, head.labels, head.annotations]).to_string())
    }
}

impl Cluster {
    /// Marks of all objects of the kind of `example` that carry our label.
    pub async fn marks(&self, example: &ObjectRef) -> Result<Marks, ClusterError> {
        let all = ObjectRef { namespace: None, name: "*".into(), ..example.clone() };
        // From the API server's cache: what it has not heard of yet is found by the next pass, and the datastore is left in peace.
        let ours = ListParams::default().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)).match_any();
        let found = self.api(&all).list_metadata(&ours).await.map_err(|e| ClusterError::of(&all, e))?;
        Ok(found.items.into_iter().map(|PartialObjectMeta::<DynamicObject> { metadata: m, .. }| ((m.namespace.clone(), m.name.clone().unwrap_or_default()), Mark::of(&m))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_does_not_change_a_mark_and_a_label_does() {
        let head = |generation, version: &str, label: &str| ObjectMeta {
            generation,
            resource_version: Some(version.into()),
            labels: Some([("a".to_string(), label.to_string())].into()),
            ..ObjectMeta::default()
        };
        assert_eq!(Mark::of(&head(Some(3), "17", "x")), Mark::of(&head(Some(3), "18", "x")), "a deployment's status was written");
        assert_ne!(Mark::of(&head(Some(3), "17", "x")), Mark::of(&head(Some(4), "17", "x")));
        assert_ne!(Mark::of(&head(Some(3), "17", "x")), Mark::of(&head(Some(3), "17", "y")));
        assert_ne!(Mark::of(&head(None, "17", "x")), Mark::of(&head(None, "18", "x")), "a config map has no generation");
    }
}
