//! The name that is asked for on the local network: what is tried first, what comes after a name that another host has, and what held last.

use crate::files;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Longest label that still has room for a number behind it.
const LONGEST: usize = 58;

/// The name of a host on its network, without `.local`: the one that is wished for, and a number where another host has that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    wish: String,
    number: u32,
}

impl Name {
    /// The wish itself: a label of lower-case letters, digits and hyphens; what would be too long is cut.
    pub fn wished(label: &str) -> Name {
        let wish: String = label.chars().take(LONGEST).collect();
        Name { wish: wish.trim_end_matches('-').into(), number: 1 }
    }

    /// `leaf-1`, and `leaf-1-2` where another host is `leaf-1`: the number of a name is never counted on, it belongs to somebody.
    pub fn label(&self) -> String {
        if self.number < 2 { self.wish.clone() } else { format!("{}-{}", self.wish, self.number) }
    }

    /// With the domain: `leaf-1.local`.
    pub fn full(&self) -> String {
        format!("{}.local", self.label())
    }

    /// What to try where another host has this one.
    pub fn next(&self) -> Name {
        Name { wish: self.wish.clone(), number: self.number.max(1) + 1 }
    }

    /// What held last by the file at `path`, if the wish is still the same: who restarts does not take a name from the host that won it.
    pub fn recall(path: &Path, wished: Name) -> Name {
        let kept = std::fs::read(path).ok().and_then(|raw| serde_json::from_slice::<Name>(&raw).ok());
        kept.filter(|k| k.wish == wished.wish && (1..=9_999).contains(&k.number)).unwrap_or(wished)
    }

    /// Keeps it for the next start.
    pub fn keep(&self, path: &Path) -> std::io::Result<()> {
        let raw = serde_json::to_vec(self).expect("plain data");
        files::replace_if_changed(path, &raw, 0o644).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_put_behind_a_name_and_the_name_s_own_number_is_left() {
        let name = Name::wished("leaf-1");
        assert_eq!((name.full(), name.next().full(), name.next().next().label()), ("leaf-1.local".into(), "leaf-1-2.local".into(), "leaf-1-3".into()));
        assert!(Name::wished(&"x".repeat(63)).next().label().len() <= 63);
    }

    #[test]
    fn the_name_that_held_is_asked_for_again_unless_another_is_wished_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mdns.json");
        let wished = Name::wished("leaf");
        assert_eq!(Name::recall(&path, wished.clone()), wished);
        wished.next().keep(&path).unwrap();
        assert_eq!(Name::recall(&path, wished).label(), "leaf-2");
        assert_eq!(Name::recall(&path, Name::wished("other")).label(), "other");
        std::fs::write(&path, "torn").unwrap();
        assert_eq!(Name::recall(&path, Name::wished("leaf")).label(), "leaf");
    }
}
