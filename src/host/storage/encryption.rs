//! Whether the disk of the volumes is encrypted, and whether this kernel could do it. The facts are read; the judgement is pure.

use crate::status::Problem;
use crate::status::check::Verdict;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What the host says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The block device of the volumes' file system, such as `dm-0`; none for a file system without one.
    pub device: Option<String>,
    /// It, or one that it lies on, is a LUKS volume.
    pub encrypted: bool,
    /// The kernel has dm-crypt, or a module of it that it can load.
    pub dm_crypt: bool,
}

/// How data at rest stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AtRest {
    /// It lies on a LUKS volume.
    Encrypted,
    /// It does not, and could.
    Possible,
    /// It does not, and this kernel cannot.
    Impossible,
}

/// Judges the facts.
pub fn judge(facts: &Facts) -> AtRest {
    match (facts.encrypted, facts.dm_crypt) {
        (true, _) => AtRest::Encrypted,
        (false, true) => AtRest::Possible,
        (false, false) => AtRest::Impossible,
    }
}

/// One clause for page and status.
pub fn sentence(facts: &Facts) -> String {
    let device = facts.device.as_deref().unwrap_or("its file system has no disk of its own");
    match judge(facts) {
        AtRest::Encrypted => format!("encrypted with LUKS ({device})"),
        AtRest::Possible => format!("not encrypted ({device}), though this kernel has LUKS"),
        AtRest::Impossible => format!("not encrypted ({device}): this kernel has no dm-crypt, which LUKS needs"),
    }
}

/// As a check of the host.
pub fn verdict(facts: &Facts) -> Verdict {
    let how = "Before the first start: name an empty disk as storage.encrypt in settings.toml; the node formats, opens and closes it.";
    let problem = match judge(facts) {
        AtRest::Encrypted => None,
        AtRest::Possible => Some(Problem::new("CHK-119", "posts will lie on the disk in the clear", sentence(facts), how)),
        AtRest::Impossible => Some(Problem::new("CHK-119", "posts will lie on the disk in the clear", sentence(facts), "Boot a kernel with dm-crypt (every distribution's own has it), or keep the host locked away. Secrets of the cluster are encrypted all the same.")),
    };
    problem.map_or(Verdict::Ok, |problem| Verdict::Warning { problem })
}

/// Reads the facts about the file system of `path`, which exists, below `root`.
pub fn read(root: &Path, path: &Path) -> Facts {
    let text = |p: &str| std::fs::read_to_string(root.join(p)).unwrap_or_default();
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let block = root.join("sys/dev/block");
    let device = device_of(&path, &text("proc/self/mountinfo")).and_then(|number| std::fs::canonicalize(block.join(number)).ok());
    let name = device.as_ref().and_then(|d| Some(d.file_name()?.to_string_lossy().into_owned()));
    Facts { encrypted: device.is_some_and(|d| is_luks(&d, 0)), device: name, dm_crypt: has_dm_crypt(root) }
}

/// The kernel below `root` has dm-crypt, or a module of it that it can load.
pub fn has_dm_crypt(root: &Path) -> bool {
    let release = std::fs::read_to_string(root.join("proc/sys/kernel/osrelease")).unwrap_or_default();
    let modules = root.join("lib/modules").join(release.trim());
    let listed = |file: &str| std::fs::read_to_string(modules.join(file)).is_ok_and(|t| t.contains("/dm-crypt.ko"));
    root.join("sys/module/dm_crypt").exists() || listed("modules.dep") || listed("modules.builtin")
}

/// Number `major:minor` of the device whose mount holds `path`: the longest mount point that leads to it.
fn device_of(path: &Path, mountinfo: &str) -> Option<String> {
    let fields = mountinfo.lines().map(|l| l.split(' ').collect::<Vec<_>>()).filter(|f| f.len() > 4);
    let holding = fields.filter(|f| path.starts_with(f[4].replace("\\040", " ")));
    holding.max_by_key(|f| f[4].len()).map(|f| f[2].to_owned()).filter(|n| !n.starts_with("0:"))
}

/// A LUKS volume, or something on one: volume managers and RAID lie on other devices, a partition on its disk.
fn is_luks(device: &Path, depth: u32) -> bool {
    let own = std::fs::read_to_string(device.join("dm/uuid")).is_ok_and(|u| u.starts_with("CRYPT-LUKS"));
    let below: Vec<PathBuf> = std::fs::read_dir(device.join("slaves")).into_iter().flatten().flatten().filter_map(|e| std::fs::canonicalize(e.path()).ok()).collect();
    // Encrypted only when every device below is.
    own || (depth < 8 && !below.is_empty() && below.iter().all(|d| is_luks(d, depth + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const MOUNTS: &str = "22 1 254:0 / / rw - ext4 /dev/vda rw\n30 22 253:1 / /srv/my\\040disk rw - ext4 /dev/dm-1 rw\n31 22 0:25 / /run rw - tmpfs tmpfs rw\n";

    #[test]
    fn the_longest_mount_point_names_the_device() {
        assert_eq!(device_of(Path::new("/var/lib/antihate"), MOUNTS).as_deref(), Some("254:0"));
        assert_eq!(device_of(Path::new("/srv/my disk/antihate-volumes"), MOUNTS).as_deref(), Some("253:1"));
        assert_eq!(device_of(Path::new("/run/x"), MOUNTS), None, "memory is no disk");
    }

    /// A volume on a LUKS device, and a plain disk.
    fn host(root: &Path) {
        for folder in ["proc/self", "proc/sys/kernel", "sys/dev/block", "devices/vda", "devices/dm-0/dm", "devices/dm-1/dm", "devices/dm-1/slaves", "lib/modules/6.1.0"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::write(root.join("proc/self/mountinfo"), MOUNTS).unwrap();
        std::fs::write(root.join("proc/sys/kernel/osrelease"), "6.1.0\n").unwrap();
        std::fs::write(root.join("devices/dm-0/dm/uuid"), "CRYPT-LUKS2-00-disk\n").unwrap();
        std::fs::write(root.join("devices/dm-1/dm/uuid"), "LVM-abc\n").unwrap();
        symlink("../../dm-0", root.join("devices/dm-1/slaves/dm-0")).unwrap();
        symlink("../../../devices/vda", root.join("sys/dev/block/254:0")).unwrap();
        symlink("../../../devices/dm-1", root.join("sys/dev/block/253:1")).unwrap();
    }

    #[test]
    fn a_volume_on_an_encrypted_device_is_encrypted_and_a_plain_disk_is_told_of() {
        let dir = tempfile::tempdir().unwrap();
        host(dir.path());
        let facts = |path: &str| read(dir.path(), Path::new(path));
        let on_luks = facts("/srv/my disk/x");
        assert_eq!((judge(&on_luks), verdict(&on_luks)), (AtRest::Encrypted, Verdict::Ok));
        let plain = facts("/nowhere/x");
        assert_eq!((plain.device.as_deref(), judge(&plain)), (Some("vda"), AtRest::Impossible));
        assert!(sentence(&plain).contains("no dm-crypt") && matches!(verdict(&plain), Verdict::Warning { problem } if problem.code == "CHK-119"));
        std::fs::write(dir.path().join("lib/modules/6.1.0/modules.dep"), "kernel/drivers/md/dm-crypt.ko: kernel/drivers/md/dm-mod.ko\n").unwrap();
        assert_eq!(judge(&facts("/nowhere/x")), AtRest::Possible);
    }
}
