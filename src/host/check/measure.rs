//! What takes a moment: how long a write takes, and whether a resolver answers.

use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

/// Writes that are measured at most, and for how long.
const WRITES: usize = 25;
const MEASURE: Duration = Duration::from_secs(2);
/// A resolver answers within this.
const ANSWER: Duration = Duration::from_secs(1);
/// A question for the root of all names: header, no name, kind NS, class internet.
const ROOT: [u8; 17] = [0x41, 0x48, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

/// The median of some small writes that survive a power cut.
pub fn latency(folder: &Path) -> Option<Duration> {
    use std::io::Write;
    let mut file = tempfile::Builder::new().prefix(".antihate-check-").tempfile_in(folder).ok()?;
    let (began, mut took) = (Instant::now(), Vec::new());
    while took.len() < WRITES && began.elapsed() < MEASURE {
        let at = Instant::now();
        file.write_all(&[7; 4096]).ok()?;
        file.as_file().sync_data().ok()?;
        took.push(at.elapsed());
    }
    took.sort();
    took.get(took.len() / 2).copied()
}

/// One of the resolvers answers at all.
pub fn answers(resolvers: &[IpAddr]) -> bool {
    let asked = |ip: &IpAddr| {
        let any: IpAddr = if ip.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.set_read_timeout(Some(ANSWER))?;
        socket.connect((*ip, 53))?;
        socket.send(&ROOT)?;
        socket.recv(&mut [0; 512])
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = resolvers.iter().map(|ip| scope.spawn(move || asked(ip).is_ok_and(|n| n > 2))).collect();
        // Every thread is waited for: `any` would leave the rest to the scope all the same.
        all.into_iter().map(|t| t.join().unwrap_or(false)).fold(false, |any, one| any | one)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_measured_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(latency(dir.path()).is_some_and(|l| l < MEASURE));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(latency(&dir.path().join("nowhere")), None);
    }

    #[test]
    fn nobody_to_ask_is_no_answer() {
        assert!(!answers(&[]));
    }
}
