//! One pass over everything that is wanted: inventory, apply in order, prune.

use crate::cluster::{Applied, Cluster, ClusterError, Mark, Marks, ObjectRef, inventory};
use crate::manifests::Group;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a pass changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Objects that were made or differed.
    pub changed: Vec<ObjectRef>,
    /// Objects that are gone because nobody wants them any more.
    pub pruned: Vec<ObjectRef>,
}

impl Done {
    /// One line for a person; empty where nothing had to be done.
    pub fn summary(&self) -> String {
        let mut parts = Vec::new();
        match &self.changed[..] {
            [] => {}
            [one] => parts.push(format!("{one} was set right")),
            many => parts.push(format!("{} objects were set", many.len())),
        }
        if !self.pruned.is_empty() {
            parts.push(format!("{} removed", self.pruned.len()));
        }
        parts.join(", ")
    }
}

/// What was applied last, and by what it is known unchanged. Forgotten, everything is applied once more.
#[derive(Default)]
pub struct Known(BTreeMap<ObjectRef, (Value, Mark)>);

impl Known {
    /// True when `wanted` was applied last and nobody has changed it since, as the `marks` of its kind tell.
    fn holds(&self, object: &ObjectRef, wanted: &Value, marks: Option<&Marks>) -> bool {
        let now = marks.and_then(|all| all.get(&(object.namespace.clone(), object.name.clone())));
        self.0.get(object).is_some_and(|(applied, mark)| applied == wanted && Some(mark) == now)
    }

    /// Marks of everything that is known, by API version and kind: one question a kind.
    async fn marks(&self, cluster: &Cluster) -> Result<BTreeMap<(String, String), Marks>, ClusterError> {
        let mut all = BTreeMap::new();
        for object in self.0.keys() {
            let kind = (object.api_version.clone(), object.kind.clone());
            if !all.contains_key(&kind) {
                all.insert(kind, cluster.marks(object).await?);
            }
        }
        Ok(all)
    }
}

/// Applies all groups in order, then prunes. The inventory names old and new objects before the first of them is
/// touched, and the new ones alone only when everything succeeded.
pub async fn everything(cluster: &Cluster, groups: &[Group], known: &mut Known, progress: &(dyn Fn(String) + Sync)) -> Result<Done, ClusterError> {
    let wanted: Vec<ObjectRef> = groups.iter().flat_map(|g| &g.objects).map(ObjectRef::of).collect::<Result<_, _>>()?;
    let old = cluster.inventory().await?;
    let united = inventory::united(&old, &wanted);
    if united != old {
        cluster.set_inventory(&united).await?;
    }
    let mut done = Done::default();
    let marks = known.marks(cluster).await?;
    for group in groups {
        progress(group.title.to_string());
        for object in &group.objects {
            let name = ObjectRef::of(object)?;
            if known.holds(&name, object, marks.get(&(name.api_version.clone(), name.kind.clone()))) {
                continue;
            }
            let (applied, mark) = cluster.apply(object).await?;
            known.0.insert(name.clone(), (object.clone(), mark));
            if applied == Applied::Changed {
                done.changed.push(name);
            }
        }
    }
    for stale in inventory::stale(&old, &wanted) {
        cluster.delete(&stale).await?;
        known.0.remove(&stale);
        done.pruned.push(stale);
    }
    if united != wanted {
        cluster.set_inventory(&wanted).await?;
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str) -> ObjectRef {
        ObjectRef { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: Some("a".into()), name: name.into() }
    }

    #[test]
    fn a_pass_that_changed_nothing_says_nothing() {
        assert_eq!(Done::default().summary(), "");
    }

    #[test]
    fn a_healed_object_is_named_and_removed_ones_are_counted() {
        let done = Done { changed: vec![object("x")], pruned: vec![object("y"), object("z")] };
        assert_eq!(done.summary(), "ConfigMap a/x was set right, 2 removed");
    }
}
