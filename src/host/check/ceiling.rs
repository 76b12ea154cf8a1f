//! Limits of the kernel that a node runs into: how much it has to allow, and how it is raised.

use super::tree::{Tree, known};
use crate::status::check::{Check, Group};

/// One of them.
pub struct Ceiling {
    /// Its file below `/proc/sys`, from which its name follows.
    pub file: &'static str,
    /// Name, title and reason of its check.
    pub named: (&'static str, &'static str, &'static str),
    /// Less than this is told.
    pub least: u64,
    /// With this code and these words; `{}` is what it allows.
    pub told: (&'static str, &'static str),
    /// What it should be raised to.
    pub enough: u64,
}

impl Ceiling {
    /// What it allows; nothing where the kernel has no such limit.
    pub fn read(&self, tree: &Tree) -> Option<u64> {
        tree.number(&format!("proc/sys/{}", self.file))
    }

    /// Judges it.
    pub fn judge(&self, group: Group, found: Option<u64>) -> Check {
        let ((id, title, why), (code, words)) = (self.named, self.told);
        let next = format!("Raise it with `sysctl -w {}={}`, and for good in /etc/sysctl.d.", self.file.replace('/', "."), self.enough);
        group.check(id, title, why, known(found)).warns(found.is_some_and(|n| n < self.least), code, words.replace("{}", &known(found)), &next)
    }
}
