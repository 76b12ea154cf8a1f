//! Errors of the NVIDIA driver in the kernel's log: `NVRM: Xid (PCI:0000:3b:00): 79, ...`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Numbers by which the driver tells of a program's own fault; the card is well after them. The list is that of NVIDIA's device plugin.
const PROGRAMS_FAULT: [u32; 6] = [13, 31, 43, 45, 68, 109];

/// The kernel's log, read from where it stood when it was opened.
pub struct KernelLog {
    file: Option<File>,
}

impl KernelLog {
    /// Opens the log; what it held before is of an earlier life. Without a log nothing is heard.
    pub fn open(path: &Path) -> KernelLog {
        let opened = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
        let file = opened.ok().and_then(|mut f| f.seek(SeekFrom::End(0)).ok().map(|_| f));
        KernelLog { file }
    }

    /// Errors since the last look: by place on the bus, without the last number, the latest that is the card's own.
    pub fn news(&mut self) -> BTreeMap<String, u32> {
        let mut heard = BTreeMap::new();
        let Some(file) = self.file.as_mut() else { return heard };
        let mut record = vec![0u8; 8192];
        // One record a read; records that were lost in between are told by an error, after which reading goes on.
        for _ in 0..4096 {
            match file.read(&mut record) {
                Ok(0) => break,
                Ok(n) => heard.extend(String::from_utf8_lossy(&record[..n]).lines().filter_map(error).filter(|(_, xid)| !PROGRAMS_FAULT.contains(xid))),
                Err(e) if e.raw_os_error() == Some(nix::libc::EPIPE) => {}
                Err(_) => break,
            }
        }
        heard
    }
}

/// Place and number in a line of the log.
fn error(line: &str) -> Option<(String, u32)> {
    let (_, rest) = line.split_once("NVRM: Xid (PCI:")?;
    let (bus, rest) = rest.split_once("): ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((bus.to_ascii_lowercase(), digits.parse().ok()?))
}

/// Whether a card at `bus` (`0000:3b:00.0`) is the one of the log's `place` (`0000:3b:00`).
pub fn concerns(place: &str, bus: &str) -> bool {
    bus.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_cards_own_errors_are_heard_and_those_of_programs_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kmsg");
        std::fs::write(&path, "3,1,1,-;NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', old\n").unwrap();
        let mut log = KernelLog::open(&path);
        assert!(log.news().is_empty(), "what stood there before is of an earlier life");
        let mut file = File::options().append(true).open(&path).unwrap();
        write!(file, "6,2,2,-;usb 1-1: new device\n3,3,3,-;NVRM: Xid (PCI:0000:3B:00): 79, pid=77, GPU has fallen off the bus.\n4,4,4,-;NVRM: Xid (PCI:0000:86:00): 31, pid=78, name=python3\n").unwrap();
        assert_eq!(log.news(), BTreeMap::from([("0000:3b:00".to_string(), 79)]));
        assert!(log.news().is_empty());
        assert!(KernelLog::open(&dir.path().join("none")).news().is_empty());
    }

    #[test]
    fn a_place_is_compared_without_the_last_number() {
        assert!(concerns("0000:3b:00", "0000:3b:00.0"));
        assert!(!concerns("0000:3b:00", "0000:3b:01.0") && !concerns("0000:3b:0", "0000:3b:00.0"));
    }
}
