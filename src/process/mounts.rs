//! Mounts below a folder: what a node's containers leave behind when they are ended hard.

use nix::mount::{MntFlags, umount2};
use std::path::{Path, PathBuf};

/// Mount points at or below `folder`, the latest first, as `/proc/self/mountinfo` tells them.
pub fn below(folder: &Path, mountinfo: &str) -> Vec<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(|p| PathBuf::from(unescape(p)));
    let mut found: Vec<PathBuf> = points.filter(|p| p.starts_with(folder)).collect();
    found.reverse();
    found
}

/// Octal escapes for space, tab, newline and backslash.
fn unescape(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")].iter().fold(field.to_string(), |text, (from, to)| text.replace(from, to))
}

/// Unmounts everything at or below `folder`; returns what stayed.
pub fn unmount_below(folder: &Path) -> Vec<PathBuf> {
    for _ in 0..5 {
        let found = now(folder);
        if found.is_empty() {
            return found;
        }
        for point in found {
            let _ = umount2(&point, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
        }
    }
    now(folder)
}

/// Mount points at or below `folder` now.
pub fn now(folder: &Path) -> Vec<PathBuf> {
    below(folder, &std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_below_a_folder_are_found_deepest_last_mounted_first() {
        let info = "22 1 0:5 / /d rw - tmpfs t rw\n23 22 0:6 / /d/a\\040b rw - tmpfs t rw\n24 1 0:7 / /data rw - tmpfs t rw\n";
        assert_eq!(below(Path::new("/d"), info), [PathBuf::from("/d/a b"), PathBuf::from("/d")]);
    }
}
