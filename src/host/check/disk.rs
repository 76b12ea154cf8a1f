//! Disk: size, kind and speed of what data will lie on, and whether it can be trusted.

use super::asked::Asked;
use super::mount::Mount;
use super::tree::{Tree, known, list, size};
use crate::config::{GIB, MIB};
use crate::status::check::{Check, Group};
use std::time::Duration;

const G: Group = Group::Disk;
/// What posts, logs and images need beyond the unpacked payload.
const RESERVE: u64 = 2 * GIB;
/// Volumes at their least, images and the payload.
const WANTED: u64 = 40 * GIB;
/// A write that is to survive a power cut takes less on any solid-state disk.
const LATENCY: Duration = Duration::from_millis(20);
/// Names of sockets are no longer than this.
const SOCKET: usize = 107;
/// Images and models have about 60,000 files.
const FILES: u64 = 200_000;
/// File systems that other hosts serve, that vanish, or that know no owners.
const STRANGE: [&str; 14] = ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "vfat", "exfat", "ntfs3", "fuseblk", "tmpfs", "ramfs", "overlay", "squashfs"];
/// Number of whoever makes the disks of virtual machines, which call themselves turning whatever lies below.
const VIRTIO: &str = "0x1af4";
/// Options with which a power cut may lose what was written.
const RISKY: [&str; 4] = ["nobarrier", "barrier=0", "data=writeback", "fsync_mode=nobarrier"];

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// What is asked of the kernel.
    pub asked: super::asked::Disk,
    /// The mount that holds the data root.
    pub mount: Mount,
    /// It lies on a disk that turns; a virtual one does not know.
    pub turning: Option<bool>,
    /// File systems that report errors.
    pub errors: Vec<String>,
    /// Mirrors with a missing disk.
    pub mirrors: Vec<String>,
}

/// Reads them.
pub fn read(tree: &Tree, asked: &Asked) -> Facts {
    let mount = Mount::of(&asked.disk.folder, &tree.text("proc/self/mountinfo")).unwrap_or_default();
    let device = format!("sys/dev/block/{}", mount.device);
    // A partition has no queue of its own: its disk, the folder above, has.
    let either = |file: &str, text: &str| [format!("{device}/{file}"), format!("{device}/../{file}")].iter().any(|p| tree.text(p) == text);
    let turning = (!either("device/vendor", VIRTIO)).then(|| either("queue/rotational", "1"));
    let counted = |folder: &str, file: &str| tree.each(folder, file).into_iter().filter(|(_, n)| n != "0").map(|(name, _)| name).collect();
    Facts { turning, errors: counted("sys/fs/ext4", "errors_count"), mirrors: counted("sys/block", "md/degraded"), asked: asked.disk.clone(), mount }
}

/// Judges them.
pub fn judge(f: &Facts) -> Vec<Check> {
    let mut all = room(f);
    all.extend(kind(f));
    all.extend(trust(f));
    all
}

fn room(f: &Facts) -> Vec<Check> {
    let a = &f.asked;
    let need = a.need + RESERVE;
    let (files, free) = a.files.unwrap_or_default();
    let used = 100 - (a.free * 100).checked_div(a.total).unwrap_or(100).min(100);
    vec![
        G.check("disk.space", "Space on disk", "images, models and posts lie below the data root", format!("{} free of {}", size(a.free), size(a.total)))
            .fails(a.free < need, "CHK-111", format!("the disk has {} free and {} are needed", size(a.free), size(need)), "Free space, or choose another disk with --data."),
        G.check("disk.writable", "Data root", "everything that the node keeps is written there", if a.writable { "can be written" } else { "cannot be written" })
            .fails(!a.writable, "CHK-112", "the data root cannot be written: it, or the folder above it, is read-only or belongs to somebody else", "Choose another folder with --data."),
        G.check("disk.size", "Size of the disk", "volumes take 20 GiB at their least, images and Kubernetes come on top, and posts grow", size(a.total))
            .warns(a.total < WANTED, "CHK-234", format!("the disk has {} in all", size(a.total)), "Shares follow the disk, down to 4 GiB a volume. Choose a larger disk with --data or storage.folder."),
        G.check("disk.used", "Use of the disk", "a file system that is nearly full becomes slow, and other programs' growth takes what posts need", format!("{used} % used"))
            .warns(used > 90, "CHK-235", format!("{used} % of the disk are used"), "Free space: `du -xh / | sort -h | tail` shows where it is."),
        G.check("disk.files", "Files that fit", "a file system may have space and yet take no further file", a.files.map_or_else(|| "no limit".into(), |(_, free)| free.to_string()))
            .warns(files > 0 && free < FILES, "CHK-232", format!("the disk takes {free} more files"), "Remove small files, or choose another disk with --data."),
        G.check("disk.run", "Space for sockets", "sockets, the PIN and the status lie there", a.run_free.map_or_else(|| "on the data root".into(), size))
            .warns(a.run_free.is_some_and(|b| b < 64 * MIB), "CHK-241", format!("/run has {} free", size(a.run_free.unwrap_or(0))), "Enlarge it with `mount -o remount,size=256M /run`, or find out what fills it."),
        G.check("disk.temporary", "Space for temporary files", "programs of the host fail in strange ways where it is full", a.temporary_free.map_or_else(|| known(None), size))
            .warns(a.temporary_free.is_some_and(|b| b < 256 * MIB), "CHK-242", format!("/tmp has {} free", size(a.temporary_free.unwrap_or(0))), "Remove old files there."),
    ]
}

fn kind(f: &Facts) -> Vec<Check> {
    let (a, kind) = (&f.asked, f.mount.kind.as_str());
    let risky: Vec<&str> = RISKY.iter().copied().filter(|o| f.mount.has(o)).collect();
    let strange = STRANGE.contains(&kind) || kind.starts_with("fuse.");
    let open = a.owner.is_some_and(|(user, mode)| user != 0 || mode & 0o022 != 0);
    vec![
        G.check("disk.programs", "Programs on the disk", "Kubernetes is unpacked there and run from there", if f.mount.has("noexec") { "forbidden" } else { "allowed" })
            .fails(f.mount.has("noexec"), "CHK-230", "no program may run from the disk of the data root (mounted with noexec)", "Mount it with `mount -o remount,exec`, and change /etc/fstab; or choose another folder with --data."),
        G.check("disk.sockets", "Length of the data root's path", "the kernel takes no socket whose path has more than 107 bytes", format!("{} bytes", a.socket))
            .fails(a.socket > SOCKET, "CHK-231", format!("a socket below the data root would have a path of {} bytes", a.socket), "Choose a shorter path with --data."),
        G.check("disk.kind", "File system", "databases and layers of containers want a local file system that keeps owners and outlives a restart", kind)
            .warns(strange, "CHK-233", format!("the data root lies on {kind}"), "Choose a folder on ext4 or xfs with --data."),
        G.check("disk.owner", "Owner of the data root", "whoever may write there becomes root on this host", a.owner.map_or_else(|| "not made yet".into(), |(user, mode)| format!("user {user}, mode {mode:o}")))
            .warns(open, "CHK-243", "others than root may write to the data root", "Run `chown root: DIR` and `chmod go-w DIR` on it."),
        G.check("disk.barriers", "Order of writes", "without it a power cut may lose what was reported as written", list(&risky))
            .warns(!risky.is_empty(), "CHK-240", format!("the disk is mounted with {}", list(&risky)), "Take these options out of /etc/fstab and mount it anew."),
    ]
}

fn trust(f: &Facts) -> Vec<Check> {
    let a = &f.asked;
    let slow = a.latency.is_some_and(|l| l > LATENCY);
    let told = a.latency.map_or_else(|| "not measured".into(), |l| format!("{:.1} ms", l.as_secs_f64() * 1000.0));
    vec![
        G.check("disk.latency", "Write latency", "every post and every change of the cluster waits for such a write", told.clone())
            .only_if(a.latency.is_some(), "it is measured by `antihate check`, not at a start")
            .warns(slow, "CHK-236", format!("a write of 4 KiB that survives a power cut takes {told} (median)"), "Use a solid-state disk; in a virtual machine ask for a disk with less latency."),
        G.check("disk.turning", "Kind of disk", "a disk that turns does a hundred such writes a second, a solid-state disk thousands", if f.turning == Some(true) { "turns" } else { "solid-state, or not told" })
            .only_if(f.turning.is_some(), "a virtual disk does not know what it lies on")
            .warns(f.turning == Some(true), "CHK-237", "the data root lies on a disk that turns", "Choose a folder on a solid-state disk with --data, or name one for the posts as storage.folder."),
        G.check("disk.errors", "Errors of file systems", "what was damaged once may be damaged further without notice", list(&f.errors))
            .warns(!f.errors.is_empty(), "CHK-238", format!("ext4 has noted errors on {}", list(&f.errors)), "Check them with `e2fsck -f` while they are not mounted, and look at the disk with `smartctl -a`."),
        G.check("disk.mirrors", "Mirrored disks", "with the next disk everything on it would be lost", list(&f.mirrors))
            .warns(!f.mirrors.is_empty(), "CHK-239", format!("a disk is missing from {}", list(&f.mirrors)), "Exchange the missing disk: `cat /proc/mdstat` shows which."),
        volumes(f),
        at_rest(f),
    ]
}

const LATER: &str = "it is looked at by `antihate check`; a start waits for the disk";

fn volumes(f: &Facts) -> Check {
    let seen = f.asked.volumes.as_ref().map_or_else(String::new, |d| format!("{} free at {}", size(d.free), d.folder.display()));
    let check = G.check("disk.volumes", "Disk of the volumes", "posts, queue and metrics lie on it", seen).only_if(f.asked.volumes.is_some(), LATER);
    f.asked.volumes.as_ref().map_or(check.clone(), |disk| check.judged(crate::host::storage::check::judge(disk)))
}

fn at_rest(f: &Facts) -> Check {
    use crate::host::storage::encryption::{sentence, verdict};
    let seen = f.asked.at_rest.as_ref().map(sentence).unwrap_or_default();
    let check = G.check("disk.encryption", "Encryption at rest", "who takes the disk out reads the posts", seen).only_if(f.asked.at_rest.is_some(), LATER);
    f.asked.at_rest.as_ref().map_or(check.clone(), |facts| check.judged(verdict(facts)))
}
