//! One pass over everything that is wanted: inventory, apply in order, prune.

use crate::cluster::{Applied, Cluster, ClusterError, ObjectRef, inventory};
use crate::manifests::Group;

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

/// Applies all groups in order, then prunes. The inventory names old and new objects before the first of them is
/// touched, and the new ones alone only when everything succeeded.
pub async fn everything(cluster: &Cluster, groups: &[Group], progress: &(dyn Fn(String) + Sync)) -> Result<Done, ClusterError> {
    let wanted: Vec<ObjectRef> = groups.iter().flat_map(|g| &g.objects).map(ObjectRef::of).collect::<Result<_, _>>()?;
    let old = cluster.inventory().await?;
    let united = inventory::united(&old, &wanted);
    if united != old {
        cluster.set_inventory(&united).await?;
    }
    let mut done = Done::default();
    for group in groups {
        progress(group.title.to_string());
        for object in &group.objects {
            if cluster.apply(object).await? == Applied::Changed {
                done.changed.push(ObjectRef::of(object)?);
            }
        }
    }
    for stale in inventory::stale(&old, &wanted) {
        cluster.delete(&stale).await?;
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
