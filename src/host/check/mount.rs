//! The mount that holds a folder, out of the kernel's list.

use std::path::Path;

/// One mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// Number of its device, `major:minor`.
    pub device: String,
    /// Kind of file system.
    pub kind: String,
    /// Options of the mount and of the file system.
    pub options: Vec<String>,
}

impl Mount {
    /// The last of the longest mount points that lead to `path`, in the text of `/proc/self/mountinfo`.
    pub fn of(path: &Path, mountinfo: &str) -> Option<Mount> {
        let mounts = mountinfo.lines().filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let (left, right): (Vec<&str>, Vec<&str>) = (left.split(' ').collect(), right.split(' ').collect());
            let point = left.get(4)?.replace("\\040", " ");
            let options = [left.get(5)?.split(','), right.get(2).copied().unwrap_or_default().split(',')].into_iter().flatten();
            let mount = Mount { device: (*left.get(2)?).into(), kind: (*right.first()?).into(), options: options.map(String::from).collect() };
            path.starts_with(&point).then_some((point.len(), mount))
        });
        mounts.max_by_key(|(length, _)| *length).map(|(_, mount)| mount)
    }

    /// An option is set.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_that_was_made_last_at_the_longest_point_holds_the_folder() {
        let text = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw,nobarrier\n30 22 0:31 / /srv/my\\040disk rw,noexec shared:1 - tmpfs none rw\n31 22 8:1 / /srv/my\\040disk ro - xfs /dev/sda1 rw\n";
        let root = Mount::of(Path::new("/var/lib/antihate"), text).unwrap();
        assert_eq!((root.device.as_str(), root.kind.as_str()), ("254:0", "ext4"));
        assert!(root.has("nobarrier") && root.has("relatime") && !root.has("ro"));
        assert_eq!(Mount::of(Path::new("/srv/my disk/x"), text).unwrap().kind, "xfs");
        assert_eq!(Mount::of(Path::new("/"), "nonsense"), None);
    }
}
