//! The file that tells root the PIN: `<run>/setup-pin`, mode 0600, replaced whole whenever the PIN changes.

use crate::files;
use chrono::{DateTime, SecondsFormat, Utc};
use std::path::{Path, PathBuf};

/// Where the PIN is told below the run directory.
pub fn path(run: &Path) -> PathBuf {
    run.join("setup-pin")
}

/// What the file tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinTold {
    /// The PIN, as a person types it.
    pub pin: String,
    /// Until when it is good.
    pub until: DateTime<Utc>,
    /// Addresses of the page, the best one first.
    pub addresses: Vec<String>,
    /// SHA-256 of its certificate.
    pub fingerprint: String,
}

impl PinTold {
    /// Reads the text of the file; none where it is not whole.
    pub fn read(text: &str) -> Option<PinTold> {
        let field = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(": "));
        Some(PinTold {
            pin: text.lines().next().filter(|l| !l.is_empty())?.to_owned(),
            until: DateTime::parse_from_rfc3339(field("valid-until")?).ok()?.to_utc(),
            addresses: text.lines().filter_map(|l| l.strip_prefix("open: ")).map(str::to_owned).collect(),
            fingerprint: field("fingerprint")?.trim_start_matches("SHA-256 ").to_owned(),
        })
    }
}

/// First line the PIN, then what belongs to it.
pub fn render(pin: &str, until: DateTime<Utc>, addresses: &[String], fingerprint: &str) -> String {
    let mut text = format!("{pin}\nvalid-until: {}\n", until.to_rfc3339_opts(SecondsFormat::Secs, true));
    for address in addresses {
        text.push_str(&format!("open: {address}\n"));
    }
    text.push_str(&format!("fingerprint: SHA-256 {fingerprint}\n"));
    text
}

/// Replaces the file.
pub fn write(path: &Path, text: &str) -> std::io::Result<()> {
    files::replace(path, text.as_bytes(), 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_pin_and_only_its_owner_reads_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("dir");
        let file = path(dir.path());
        let text = render("K7M2-9QXD", DateTime::UNIX_EPOCH, &["https://192.0.2.17".into()], "9C:41");
        write(&file, &text).expect("write");
        let read = std::fs::read_to_string(&file).expect("read");
        let told = PinTold::read(&read).expect("whole");
        assert_eq!((told.pin.as_str(), told.fingerprint.as_str(), told.addresses.len()), ("K7M2-9QXD", "9C:41", 1));
        assert_eq!(PinTold::read(""), None);
        assert_eq!(read, "K7M2-9QXD\nvalid-until: 1970-01-01T00:00:00Z\nopen: https://192.0.2.17\nfingerprint: SHA-256 9C:41\n");
        assert_eq!(std::fs::metadata(&file).expect("metadata").permissions().mode() & 0o777, 0o600);
    }
}
