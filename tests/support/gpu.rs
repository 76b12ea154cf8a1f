//! A stand-in for an NVIDIA card: what its driver shows below a root of its own, device files that are those of `/dev/null`, and a
//! library that computes on the processor.

use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Number of the card.
pub const UUID: &str = "GPU-0a1b2c3d-0001-4002-8003-00000000000a";
const BUS: &str = "0000:3b:00.0";
const VERSION: &str = "999.1";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// One card below one root.
pub struct StandIn {
    /// The root.
    pub root: PathBuf,
}

impl StandIn {
    /// A host with its driver, library and card. `library` is a C compiler's work and takes a moment.
    pub fn new(root: &Path) -> StandIn {
        let card = StandIn { root: root.to_path_buf() };
        for folder in ["proc/driver/nvidia/gpus", "sys/bus/pci/devices", "sys/bus/pci/drivers/nvidia", "dev", LIBRARIES] {
            std::fs::create_dir_all(root.join(folder)).expect("a folder");
        }
        card.driver(VERSION);
        for shared in ["nvidiactl", "nvidia-uvm"] {
            card.device(shared);
        }
        card.write("dev/kmsg", "");
        let (source, file) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gpu/libcuda.c"), format!("libcuda.so.{VERSION}"));
        let built = Command::new("gcc").args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(root.join(LIBRARIES).join(&file)).arg(source).status();
        assert!(built.expect("gcc").success());
        symlink(&file, root.join(LIBRARIES).join("libcuda.so.1")).expect("a link");
        card.write(&format!("{LIBRARIES}/cards"), UUID);
        card.give_back();
        card
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.root.join(path), text).expect("written");
    }

    fn device(&self, name: &str) {
        let path = self.root.join("dev").join(name);
        let old = umask(Mode::empty());
        let made = mknod(&path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3));
        umask(old);
        made.expect("a device file");
    }

    /// Puts a driver of this version into the kernel.
    pub fn driver(&self, version: &str) {
        self.write("proc/driver/nvidia/version", &format!("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build  (stand-in)\n"));
    }

    /// The card is on the bus, and the driver shows it.
    pub fn give_back(&self) {
        let (gpu, card) = (format!("proc/driver/nvidia/gpus/{BUS}"), format!("sys/bus/pci/devices/{BUS}"));
        for folder in [&gpu, &card] {
            std::fs::create_dir_all(self.root.join(folder)).expect("a folder");
        }
        self.write(&format!("{gpu}/information"), &format!("Model: \t\t Stand-in 16GB\nGPU UUID: \t {UUID}\nBus Location: \t {BUS}\nDevice Minor: \t 0\nGPU Excluded:\t No\n"));
        for (file, text) in [("vendor", "0x10de"), ("class", "0x030200"), ("numa_node", "-1")] {
            self.write(&format!("{card}/{file}"), text);
        }
        symlink("../../drivers/nvidia", self.root.join(card).join("driver")).expect("a link");
        self.device("nvidia0");
    }

    /// The card falls off the bus.
    pub fn lose(&self) {
        for folder in [format!("proc/driver/nvidia/gpus/{BUS}"), format!("sys/bus/pci/devices/{BUS}")] {
            std::fs::remove_dir_all(self.root.join(folder)).expect("removed");
        }
        std::fs::remove_file(self.root.join("dev/nvidia0")).expect("removed");
    }

    /// The kernel's log tells of an error of the card.
    pub fn error(&self, xid: u32) {
        use std::io::Write;
        let mut log = std::fs::File::options().append(true).open(self.root.join("dev/kmsg")).expect("the log");
        writeln!(log, "3,9,9,-;NVRM: Xid (PCI:{}): {xid}, pid='<unknown>', a stand-in's error", BUS.trim_end_matches(".0")).expect("written");
    }

    /// Whether computing on it fails.
    pub fn fault(&self, is: bool) {
        let file = self.root.join(LIBRARIES).join("fault");
        if is { std::fs::write(file, "").expect("written") } else { std::fs::remove_file(file).expect("removed") }
    }
}
