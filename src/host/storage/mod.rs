//! Where the volumes lie: on the disk that was chosen, which must be there; how full they are, what is released, whether it is encrypted.
//!
//! `volumes` in the data root is a folder, or a link to our folder on the chosen disk. The link remembers the choice, and a mark
//! beside the volumes tells the disk from an empty folder that somebody forgot to mount it on: a node never begins an empty
//! database beside the one it has. Posts are moved by people and removed by a reset, never here.

pub mod check;
pub mod encryption;
pub mod keep;
pub mod luks;
pub mod reclaim;

use crate::config::layout::Layout;
use crate::files;
use crate::status::Problem;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Our folder on a chosen disk.
const FOLDER: &str = "antihate-volumes";
/// The mark in it; holds the data root that it belongs to.
const MARK: &str = ".antihate-volumes";

/// What stands at `volumes` in the data root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing, or a folder without anything in it.
    Empty,
    /// A folder with something in it.
    Folder,
    /// A link to this folder, which carries our mark or does not.
    Link(PathBuf, bool),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: it is as it should be.
    Go,
    /// Our folder is made on the disk, and the link to it.
    Make(PathBuf),
}

/// Decides; `wanted` is the folder that the settings name.
pub fn decide(place: &Place, wanted: Option<&Path>) -> Result<Step, Problem> {
    let target = wanted.map(|w| w.join(FOLDER));
    let moved = |from: &Path, to: String| {
        let next = format!("Stop the node, move the folder {} to {to} and let `volumes` in the data root be it, or set storage.folder back.", from.display());
        Problem::new("STG-103", "the volumes lie elsewhere than the settings say", format!("posts lie in {}; they are never left behind", from.display()), next)
    };
    match (place, target) {
        (Place::Link(at, false), _) => Err(Problem::new(
            "STG-102", "the disk of the volumes is not there", format!("{} has no mark of this node", at.display()), "Mount the disk; the node goes on by itself. Without the disk only `antihate reset` helps.",
        )),
        (Place::Empty | Place::Folder, None) => Ok(Step::Go),
        (Place::Link(at, true), Some(target)) if *at == target => Ok(Step::Go),
        (Place::Empty, Some(target)) => Ok(Step::Make(target)),
        (Place::Folder, Some(target)) => Err(moved(Path::new("volumes"), target.display().to_string())),
        (Place::Link(at, true), target) => Err(moved(at, target.map_or_else(|| "the data root".into(), |t| t.display().to_string()))),
    }
}

/// Looks at what stands there.
pub fn place(layout: &Layout) -> Place {
    let volumes = layout.volumes();
    if let Ok(target) = std::fs::read_link(&volumes) {
        let marked = std::fs::read(target.join(MARK)).is_ok_and(|m| m == mark(layout));
        return Place::Link(target, marked);
    }
    // Folders that were made and never used count as nothing.
    let used = children(&volumes).iter().any(|v| !children(v).is_empty() || !v.is_dir());
    if used { Place::Folder } else { Place::Empty }
}

/// Puts the volumes on the chosen disk, or sees that they are there; blocks.
pub fn ensure(layout: &Layout, wanted: Option<&Path>) -> Result<(), Problem> {
    let Step::Make(target) = decide(&place(layout), wanted)? else { return Ok(()) };
    make(layout, &target).map_err(|e| Problem::new("STG-101", format!("no volumes can be made in {}", target.display()), e.to_string(), "See that the disk is mounted there and root may write to it."))
}

fn make(layout: &Layout, target: &Path) -> std::io::Result<()> {
    let disk = target.parent().expect("a folder on the disk");
    if !disk.is_dir() {
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, format!("{} is not a folder", disk.display())));
    }
    if std::fs::read(target.join(MARK)).is_ok_and(|m| m != mark(layout)) {
        return Err(std::io::Error::other(format!("{} belongs to the node in {}", target.display(), String::from_utf8_lossy(&std::fs::read(target.join(MARK))?))));
    }
    std::fs::create_dir_all(target)?;
    // The mark before the link: a link without a mark says that the disk is missing.
    files::replace(&target.join(MARK), &mark(layout), 0o600)?;
    let volumes = layout.volumes();
    for empty in children(&volumes) {
        std::fs::remove_dir(empty)?;
    }
    std::fs::remove_dir(&volumes).or_else(|e| if e.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
    symlink(target, &volumes)?;
    files::sync_dir(&layout.data)
}

fn mark(layout: &Layout) -> Vec<u8> {
    layout.data.as_os_str().as_encoded_bytes().to_vec()
}

/// The folder on another disk that a reset has to remove, too. Refuses while that disk is not there: its posts would stay.
pub fn elsewhere(layout: &Layout) -> Result<Option<PathBuf>, Problem> {
    if luks::Record::load(layout)?.is_some() {
        return Ok(None); // it is emptied as a whole, even while it is closed
    }
    match place(layout) {
        Place::Link(target, true) => Ok(Some(target)),
        Place::Link(target, false) => Err(Problem::new(
            "RST-109", "the disk of the volumes is not there", format!("posts lie on it, in {}; nothing was removed", target.display()),
            format!("Mount the disk, then reset again. If it is lost, remove the link {} first.", layout.volumes().display()),
        )),
        _ => Ok(None),
    }
}

pub(super) fn children(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(place: Place, wanted: Option<&str>) -> String {
        decide(&place, wanted.map(Path::new)).map_or_else(|p| p.code, |step| format!("{step:?}"))
    }

    #[test]
    fn volumes_go_to_the_chosen_disk_once_and_never_leave_posts_behind() {
        let link = |marked| Place::Link("/srv/disk/antihate-volumes".into(), marked);
        assert_eq!(code(Place::Empty, None), "Go");
        assert_eq!(code(Place::Folder, None), "Go");
        assert_eq!(code(Place::Empty, Some("/srv/disk")), "Make(\"/srv/disk/antihate-volumes\")");
        assert_eq!(code(Place::Folder, Some("/srv/disk")), "STG-103");
        assert_eq!(code(link(true), Some("/srv/disk")), "Go");
        assert_eq!(code(link(true), Some("/srv/other")), "STG-103");
        assert_eq!(code(link(true), None), "STG-103");
        assert_eq!(code(link(false), Some("/srv/disk")), "STG-102", "an empty mount point is not the disk");
        assert_eq!(code(link(false), None), "STG-102");
    }

    #[test]
    fn a_disk_that_is_taken_away_is_missed_and_found_again() {
        let (data, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (layout, mounted) = (Layout::new(data.path()), disk.path().join("mounted"));
        std::fs::create_dir_all(layout.volumes().join("postgres")).unwrap();
        assert_eq!(ensure(&layout, Some(&mounted)).unwrap_err().code, "STG-101", "a folder that is not there is no disk");
        std::fs::create_dir(&mounted).unwrap();
        ensure(&layout, Some(&mounted)).unwrap();
        std::fs::create_dir(layout.volumes().join("postgres")).unwrap();
        std::fs::write(layout.volumes().join("postgres/post"), "kept").unwrap();
        std::fs::rename(&mounted, disk.path().join("away")).unwrap();
        std::fs::create_dir(&mounted).unwrap();
        assert_eq!(ensure(&layout, Some(&mounted)).unwrap_err().code, "STG-102");
        assert_eq!(elsewhere(&layout).unwrap_err().code, "RST-109");
        std::fs::remove_dir(&mounted).unwrap();
        std::fs::rename(disk.path().join("away"), &mounted).unwrap();
        ensure(&layout, Some(&mounted)).unwrap();
        assert_eq!(std::fs::read_to_string(layout.volumes().join("postgres/post")).unwrap(), "kept");
        assert_eq!(elsewhere(&layout).unwrap(), Some(mounted.join(FOLDER)));
        let other = tempfile::tempdir().unwrap();
        let refused = ensure(&Layout::new(other.path()), Some(&mounted)).unwrap_err();
        assert!(refused.code == "STG-101" && refused.cause.contains("belongs to the node"), "{refused:?}");
    }
}
