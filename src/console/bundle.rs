//! The support bundle from the console: on a disk that can be carried away where one is mounted, otherwise in the data root.

use super::app::Made;
use crate::config::layout::Layout;
use crate::files;
use crate::host::check;
use crate::status::Problem;
use crate::support::{Part, Seal, bundle};
use std::path::{Path, PathBuf};

/// Bundles that stay in the data root beside a new one: who stands before the screen must not fill the disk.
const KEPT: usize = 2;

/// Makes it, encrypted with a fresh phrase. Blocks, half a minute at most.
pub fn make(layout: &Layout) -> Result<Made, Problem> {
    check::root(nix::unistd::geteuid().is_root()).passed()?;
    let made = bundle(layout, vec![Part::checks(&check::quick(layout))], &Seal::Phrase)?;
    let name = made.file_name(true);
    let phrase = made.phrase.ok_or_else(|| crate::support::failed(&"it has no phrase"))?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let stick = sticks(&mounts, Path::new("/sys/class/block")).into_iter().find(|place| files::replace(&place.join(&name), &made.bytes, 0o600).is_ok());
    let removable = stick.is_some();
    let file = match stick {
        Some(place) => place.join(name),
        None => at_home(layout, &name, &made.bytes)?,
    };
    Ok(Made { file: file.display().to_string(), removable, phrase, bytes: made.bytes.len() })
}

fn at_home(layout: &Layout, name: &str, bytes: &[u8]) -> Result<PathBuf, Problem> {
    let folder = layout.data.join("support");
    let failed = |e: std::io::Error| Problem::new("CON-102", format!("{} cannot be written", folder.display()), e.to_string(), "Mount a USB stick, or free space on the disk, and try again.");
    files::folder(&folder, 0o700).map_err(failed)?;
    let mut old: Vec<PathBuf> = std::fs::read_dir(&folder).map_err(failed)?.flatten().map(|e| e.path()).collect();
    // Their names begin alike and go on with the time.
    old.sort();
    for path in old.iter().take(old.len().saturating_sub(KEPT)) {
        drop(std::fs::remove_file(path));
    }
    let file = folder.join(name);
    files::replace(&file, bytes, 0o600).map_err(failed)?;
    Ok(file)
}

/// Mount points of disks that hang on USB or say that they can be taken out, by the text of `/proc/self/mounts`, those that may be written.
fn sticks(mounts: &str, blocks: &Path) -> Vec<PathBuf> {
    let lines = mounts.lines().map(|l| l.split(' ').collect::<Vec<_>>()).filter(|f| f.len() > 3 && f[3].split(',').any(|o| o == "rw"));
    let of_stick = lines.filter(|f| f[0].strip_prefix("/dev/").is_some_and(|name| is_stick(&blocks.join(name))));
    of_stick.map(|f| PathBuf::from(f[1].replace("\\040", " "))).filter(|p| p != Path::new("/") && !p.starts_with("/boot")).collect()
}

fn is_stick(block: &Path) -> bool {
    let Ok(device) = block.canonicalize() else { return false };
    let says = |path: &Path| std::fs::read_to_string(path.join("removable")).is_ok_and(|t| t.trim() == "1");
    device.components().any(|c| c.as_os_str().to_str().is_some_and(|c| c.starts_with("usb"))) || says(&device) || device.parent().is_some_and(says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_stick_is_found_and_a_disk_of_the_host_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (blocks, devices) = (dir.path().join("block"), dir.path().join("devices"));
        std::fs::create_dir_all(&blocks).unwrap();
        for (name, place, removable) in [("sda1", "pci0/ata1/sda", "0"), ("sdb1", "pci0/usb1/1-1/sdb", "0"), ("sdc1", "pci0/mmc/sdc", "1")] {
            let device = devices.join(place).join(name);
            std::fs::create_dir_all(&device).unwrap();
            std::fs::write(devices.join(place).join("removable"), format!("{removable}\n")).unwrap();
            symlink(&device, blocks.join(name)).unwrap();
        }
        let mounts = "/dev/sda1 /srv ext4 rw,noatime 0 0\n/dev/sdb1 /media/my\\040stick vfat rw,nosuid 0 0\n/dev/sdc1 /mnt ext4 ro 0 0\nproc /proc proc rw 0 0\n";
        assert_eq!(sticks(mounts, &blocks), [PathBuf::from("/media/my stick")]);
    }

    #[test]
    fn old_bundles_in_the_data_root_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        for n in 1..6 {
            at_home(&layout, &format!("antihate-support-{n}.age"), b"x").unwrap();
        }
        let left = std::fs::read_dir(dir.path().join("support")).unwrap().count();
        assert_eq!(left, KEPT + 1);
        assert!(dir.path().join("support/antihate-support-5.age").exists());
    }
}
