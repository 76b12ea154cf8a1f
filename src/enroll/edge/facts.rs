//! What a node says of itself when it asks to be admitted: the machine, never its data.

use super::Options;
use crate::enroll::protocol::Facts;
use std::fs::read_to_string;

/// Reads the facts of this machine; what cannot be read stays empty.
pub(super) fn gather(options: &Options) -> Facts {
    let line = |path: &str| read_to_string(path).map(|t| t.trim().to_owned()).unwrap_or_default();
    Facts {
        hostname: line("/proc/sys/kernel/hostname"),
        geography: options.geography.clone(),
        site: options.site.clone(),
        arch: std::env::consts::ARCH.into(),
        kernel: line("/proc/sys/kernel/osrelease"),
        cpus: std::thread::available_parallelism().map_or(0, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        memory: memory(&line("/proc/meminfo")),
        gpus: gpus(),
        serial: Some(line("/sys/class/dmi/id/product_serial")).filter(|s| !s.is_empty()),
        version: env!("CARGO_PKG_VERSION").into(),
    }
}

/// `MemTotal` of /proc/meminfo, in bytes.
fn memory(meminfo: &str) -> u64 {
    let total = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    let kib = total.and_then(|v| v.split_whitespace().next()).and_then(|v| v.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Model names that the NVIDIA driver shows, if it is loaded.
fn gpus() -> Vec<String> {
    let cards = std::fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten();
    let model = |text: String| text.lines().find_map(|l| l.strip_prefix("Model:")).map(|m| m.trim().to_owned());
    let mut names: Vec<String> = cards.filter_map(|c| read_to_string(c.path().join("information")).ok().and_then(model)).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(memory("MemTotal:       2048 kB\nMemFree: 1 kB"), 2_097_152);
        assert_eq!(memory(""), 0);
    }
}
