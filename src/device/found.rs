//! What is found of NVIDIA GPUs below one root: cards on the bus, what the driver shows, device files, the driver's library.

use super::below;
use super::library::{self, Library};
use serde::Serialize;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// A card on the bus, whatever drives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Card {
    /// Its place, such as `0000:3b:00.0`.
    pub bus: String,
    /// The kernel's driver that holds it.
    pub driver: Option<String>,
    /// The memory node that it hangs on.
    pub numa: Option<i64>,
}

/// A card as the NVIDIA driver shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// Its place on the bus.
    pub bus: String,
    /// What it is called.
    pub model: String,
    /// Its own number, where the driver tells it.
    pub uuid: Option<String>,
    /// Number of its device file.
    pub minor: u32,
    /// The driver was told to leave it alone.
    pub excluded: bool,
    /// The memory node that it hangs on.
    pub numa: Option<i64>,
    /// Its device file, as number and time of making: another one is another life of the card.
    pub device: Option<(u64, i64)>,
}

impl Gpu {
    /// By what it is known to Kubernetes: its own number, otherwise its place.
    pub fn id(&self) -> String {
        self.uuid.clone().unwrap_or_else(|| format!("pci-{}", self.bus.replace([':', '.'], "-")))
    }

    /// Its device file.
    pub fn file(&self) -> String {
        format!("/dev/nvidia{}", self.minor)
    }
}

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// NVIDIA's cards on the bus.
    pub cards: Vec<Card>,
    /// Version of the driver in the kernel.
    pub driver: Option<String>,
    /// What the driver shows.
    pub gpus: Vec<Gpu>,
    /// Its library for programs.
    pub library: Option<Library>,
    /// Device files that all cards share.
    pub shared: Vec<String>,
}

/// Device files that programs need beside that of their card; the first two they cannot do without.
pub const SHARED: [&str; 4] = ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"];

/// Looks below `root`.
pub fn read(root: &Path) -> Found {
    let cards = cards(root);
    let driver = std::fs::read_to_string(below(root, "/proc/driver/nvidia/version")).ok().and_then(|t| driver_version(&t));
    let mut gpus: Vec<Gpu> = folders(&below(root, "/proc/driver/nvidia/gpus")).into_iter().filter_map(|bus| gpu(root, &bus, &cards)).collect();
    gpus.sort_by_key(|g| g.minor);
    let shared = SHARED.into_iter().filter(|f| is_device(&below(root, f))).map(String::from).collect();
    let library = driver.as_deref().and_then(|version| library::find(root, version));
    Found { cards, driver, gpus, library, shared }
}

fn folders(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Display and 3D controllers of NVIDIA.
fn cards(root: &Path) -> Vec<Card> {
    let devices = below(root, "/sys/bus/pci/devices");
    let text = |bus: &str, file: &str| std::fs::read_to_string(devices.join(bus).join(file)).map(|t| t.trim().to_owned()).unwrap_or_default();
    let ours = |bus: &String| text(bus, "vendor") == "0x10de" && text(bus, "class").starts_with("0x03");
    let card = |bus: String| {
        let driver = std::fs::read_link(devices.join(&bus).join("driver")).ok();
        let driver = driver.and_then(|d| Some(d.file_name()?.to_string_lossy().into_owned()));
        let numa = text(&bus, "numa_node").parse().ok().filter(|n| *n >= 0);
        Card { bus, driver, numa }
    };
    folders(&devices).into_iter().filter(ours).map(card).collect()
}

fn gpu(root: &Path, bus: &str, cards: &[Card]) -> Option<Gpu> {
    let folder = below(root, "/proc/driver/nvidia/gpus").join(bus);
    let mut gpu = information(&std::fs::read_to_string(folder.join("information")).ok()?)?;
    gpu.bus = bus.to_ascii_lowercase();
    gpu.numa = cards.iter().find(|c| c.bus.eq_ignore_ascii_case(bus)).and_then(|c| c.numa);
    let file = below(root, &gpu.file());
    gpu.device = std::fs::metadata(&file).ok().filter(|m| m.file_type().is_char_device()).map(|m| (m.ino(), m.ctime()));
    Some(gpu)
}

/// Reads `/proc/driver/nvidia/gpus/*/information`.
fn information(text: &str) -> Option<Gpu> {
    let value = |field: &str| text.lines().find_map(|l| Some(l.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned()));
    // Before a card was used once, its number is all question marks.
    let uuid = value("GPU UUID").filter(|u| u.starts_with("GPU-") && !u.contains('?'));
    let excluded = value("GPU Excluded").or_else(|| value("Blacklisted")).is_some_and(|v| v == "Yes");
    Some(Gpu { model: value("Model")?, uuid, minor: value("Device Minor")?.parse().ok()?, excluded, ..Gpu::default() })
}

/// The version in the text of `/proc/driver/nvidia/version`.
fn driver_version(text: &str) -> Option<String> {
    let line = text.lines().find(|l| l.starts_with("NVRM version:"))?;
    line.split_whitespace().find(|w| is_version(w)).map(String::from)
}

/// Two or three numbers with points between.
pub(super) fn is_version(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    (2..=3).contains(&parts.len()) && parts.iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.file_type().is_char_device())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFORMATION: &str = "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 0\nGPU UUID: \t GPU-0a1b2c3d-0000-4000-8000-00000000000a\nVideo BIOS: \t 96.00\n\
        Bus Type: \t PCIe\nBus Location: \t 0000:3b:00.0\nDevice Minor: \t 1\nGPU Excluded:\t No\n";

    #[test]
    fn the_drivers_words_about_a_card_are_read() {
        let gpu = information(INFORMATION).unwrap();
        assert_eq!((gpu.model.as_str(), gpu.minor, gpu.excluded), ("NVIDIA H100 80GB HBM3", 1, false));
        assert_eq!(gpu.id(), "GPU-0a1b2c3d-0000-4000-8000-00000000000a");
        let fresh = INFORMATION.replace("0a1b2c3d-0000-4000-8000-00000000000a", "????????-????-????-????-????????????");
        let fresh = Gpu { bus: "0000:3b:00.0".into(), ..information(&fresh).unwrap() };
        assert_eq!(fresh.id(), "pci-0000-3b-00-0", "a number that nobody knows yet is none");
        assert!(information(&INFORMATION.replace("Excluded:\t No", "Excluded:\t Yes")).unwrap().excluded);
        assert_eq!(information("Model: x\n"), None);
    }

    #[test]
    fn both_kinds_of_the_drivers_module_tell_their_version() {
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54.03  Tue Jun  6 22:20:39 UTC 2023\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n";
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (builder@host)\nGCC version: 13.3\n";
        assert_eq!(driver_version(closed).as_deref(), Some("535.54.03"));
        assert_eq!(driver_version(open).as_deref(), Some("580.159.04"));
        assert_eq!(driver_version("nothing of the kind 1.2\n"), None);
    }

    #[test]
    fn a_root_without_anything_has_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), Found::default());
    }
}
