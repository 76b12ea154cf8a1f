//! What becomes of a volume whose claim was deleted: posts are kept and bound again, everything else is emptied. Decisions are pure.

use super::children;
use crate::cluster::volumes::{Phase, Volume};
use crate::manifests::Kept;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What is to be done with one volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release<'a> {
    /// The volume.
    pub kept: &'a Kept,
    /// Its content is removed first.
    pub emptied: bool,
}

/// Volumes of ours whose claim is gone: the next claim of the same name is to find them free.
pub fn decide<'a>(volumes: &[Volume], ours: &'a [Kept]) -> Vec<Release<'a>> {
    let released = volumes.iter().filter(|v| v.phase == Phase::Released);
    released.filter_map(|v| ours.iter().find(|k| k.name == v.name && v.path.as_deref() == Some(&*k.path))).map(|kept| Release { kept, emptied: !kept.posts }).collect()
}

/// What a folder takes on the disk, bytes: what was allotted, links are not followed.
pub fn used(folder: &Path) -> u64 {
    let of = |entry: std::path::PathBuf| {
        let Ok(meta) = std::fs::symlink_metadata(&entry) else { return 0 };
        meta.blocks() * 512 + if meta.is_dir() { used(&entry) } else { 0 }
    };
    children(folder).into_iter().map(of).sum()
}

/// Removes everything in a folder and leaves the folder; returns the bytes that came back. What could not be removed is an error.
pub fn empty(folder: &Path) -> std::io::Result<u64> {
    let before = used(folder);
    for entry in children(folder) {
        let folder = std::fs::symlink_metadata(&entry)?.is_dir();
        if folder { std::fs::remove_dir_all(&entry)? } else { std::fs::remove_file(&entry)? }
    }
    std::fs::File::open(folder)?.sync_all()?;
    let left = children(folder).len();
    if left > 0 {
        return Err(std::io::Error::other(format!("{left} entries came into it meanwhile")));
    }
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(name: &'static str, posts: bool) -> Kept {
        Kept { name, path: format!("/data/volumes/{name}").into(), capacity: 1, posts }
    }

    fn volume(name: &str, phase: Phase) -> Volume {
        Volume { name: name.into(), phase, path: Some(format!("/data/volumes/{name}").into()) }
    }

    #[test]
    fn only_what_is_released_is_touched_and_posts_are_kept() {
        let ours = [kept("postgres", true), kept("prometheus", false)];
        let all = [volume("postgres", Phase::Released), volume("prometheus", Phase::Released), volume("foreign", Phase::Released)];
        let decided: Vec<(&str, bool)> = decide(&all, &ours).into_iter().map(|r| (r.kept.name, r.emptied)).collect();
        assert_eq!(decided, [("postgres", false), ("prometheus", true)]);
        assert!(decide(&[volume("prometheus", Phase::Bound), volume("postgres", Phase::Other)], &ours).is_empty());
        let elsewhere = Volume { path: Some("/etc".into()), ..volume("prometheus", Phase::Released) };
        assert!(decide(&[elsewhere], &ours).is_empty(), "a volume that somebody pointed elsewhere is not emptied");
    }

    #[test]
    fn an_emptied_folder_is_empty_and_links_lead_nowhere() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("precious"), "x").unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/block"), vec![7u8; 1 << 20]).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
        std::fs::write(dir.path().join(".hidden"), "x").unwrap();
        let back = empty(dir.path()).unwrap();
        assert!(back >= 1 << 20, "{back}");
        assert_eq!((children(dir.path()).len(), used(dir.path())), (0, 0));
        assert!(outside.path().join("precious").exists());
    }
}
