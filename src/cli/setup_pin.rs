//! `antihate setup-pin`: tells root how to open the page of the node that runs here.

use super::{Context, DataArg};
use crate::setup::{User, UserKeep, pin_path};
use crate::status::Problem;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Shows the PIN with which the node is claimed on its page, its addresses and the fingerprint to compare.
#[derive(clap::Args)]
#[command(after_help = "Example: sudo antihate setup-pin --qr")]
pub struct SetupPin {
    /// Also a QR code that opens the page with the PIN filled in; the PIN stays behind # and is sent to nobody.
    #[arg(long)]
    qr: bool,
    /// Run directory of the node, where it is not the one that belongs to the data root.
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    #[command(flatten)]
    data: DataArg,
}

impl SetupPin {
    /// Prints the PIN file to standard output.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        if let Some(first) = UserKeep::new(&layout.data).read()?.claimed() {
            return Err(claimed(first).into());
        }
        let file = pin_path(&self.run.unwrap_or(layout.run));
        let told = std::fs::read_to_string(&file).map_err(|e| unreadable(&file, &e))?;
        let mut out = std::io::stdout().lock();
        if context.json {
            writeln!(out, "{}", facts(&told))?;
            return Ok(ExitCode::SUCCESS);
        }
        write!(out, "{told}")?;
        if self.qr && let Some(address) = address(&told) {
            writeln!(out, "{}", QrCode::new(address)?.render::<Dense1x2>().build())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The same for a program: the PIN, and each `key: value` line of the file; several addresses are a list.
fn facts(told: &str) -> serde_json::Value {
    let field = |key: &str| told.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(": "));
    let addresses: Vec<&str> = told.lines().filter_map(|l| l.strip_prefix("open: ")).collect();
    serde_json::json!({"pin": told.lines().next(), "valid_until": field("valid-until"), "addresses": addresses, "fingerprint": field("fingerprint")})
}

/// The first address with the PIN behind `#`.
fn address(told: &str) -> Option<String> {
    let pin = told.lines().next()?;
    let address = told.lines().find_map(|line| line.strip_prefix("open: "))?;
    Some(format!("{address}/unlock#{pin}"))
}

fn claimed(first: &User) -> Problem {
    let cause = format!("{} claimed the node on {}; the PIN served for that only", first.name, first.since.format("%Y-%m-%d at %H:%M UTC"));
    let next = format!("Log in with name and pass phrase. Where the pass phrase is lost, `antihate user renew {}` gives another.", first.name);
    Problem::new("PAG-108", "The page is claimed already", cause, next)
}

fn unreadable(file: &Path, error: &std::io::Error) -> Problem {
    let what = "The PIN cannot be read";
    match error.kind() {
        ErrorKind::PermissionDenied => Problem::new("PAG-105", what, "only root may read it", "repeat the command with sudo"),
        ErrorKind::NotFound => {
            let cause = format!("{} does not exist: no node serves a page from this data root", file.display());
            Problem::new("PAG-106", what, cause, "start the node with `antihate up`, or name its data root with --data")
        }
        _ => Problem::new("PAG-107", what, format!("{}: {error}", file.display()), "check the disk that holds the run directory"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_qr_code_keeps_the_pin_behind_the_hash() {
        let told = "K7M2-9QXD\nvalid-until: x\nopen: https://192.0.2.17\nopen: https://node.local\nfingerprint: SHA-256 9C\n";
        assert_eq!(address(told).as_deref(), Some("https://192.0.2.17/unlock#K7M2-9QXD"));
        assert_eq!(address(""), None);
        let read = facts(told);
        assert_eq!((&read["pin"], &read["addresses"][1]), (&"K7M2-9QXD".into(), &"https://node.local".into()));
    }

    #[test]
    fn a_missing_pin_says_why_and_what_to_do() {
        let problem = unreadable(Path::new("/run/x/setup-pin"), &ErrorKind::NotFound.into());
        assert_eq!(problem.code, "PAG-106");
        assert!(problem.next.contains("antihate up"));
    }
}
