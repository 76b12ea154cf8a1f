//! `antihate support`: a file for whoever helps, without secrets and posts.

use super::{Context, DataArg};
use crate::files;
use crate::host::check;
use crate::status::Problem;
use crate::support::{Bundle, LEFT_OUT, Part, Seal, bundle, parts};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Packs what somebody who helps has to see: states, logs, facts of this host; no post, no secret. Works while the node is down.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate support --out /media/usb\n  antihate support --key age1…\n  antihate support --list\n\nTo open it: age -d FILE | zstd -d | tar -x")]
pub struct Support {
    #[command(flatten)]
    data: DataArg,
    /// Folder or file to write to; without it, the present folder.
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Encrypt for the holder of this age key instead of with a phrase. May be given several times.
    #[arg(long = "key", value_name = "AGE-KEY")]
    keys: Vec<String>,
    /// Do not encrypt.
    #[arg(long, conflicts_with = "keys")]
    no_encryption: bool,
    /// Show what would be taken and what never is, and take nothing.
    #[arg(long)]
    list: bool,
}

impl Support {
    /// Does it.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        if self.list {
            let taken: Vec<_> = parts(&layout).into_iter().map(|p| (p.name, p.what)).collect();
            context.say(&serde_json::json!({"taken": taken, "left_out": LEFT_OUT}), list(&taken).trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        check::root(nix::unistd::geteuid().is_root()).passed()?;
        let seal = match (self.no_encryption, self.keys.is_empty()) {
            (true, _) => Seal::Open,
            (_, false) => Seal::Keys(self.keys),
            _ => Seal::Phrase,
        };
        if self.no_encryption {
            eprintln!("Not encrypted: whoever gets the file reads this host's logs and addresses. Send it only over a way that is closed itself.");
        }
        eprintln!("collecting; what does not answer is given up after 15 s");
        let made = bundle(&layout, vec![Part::checks(&check::quick(&layout))], &seal)?;
        let path = place(self.out, &made.file_name(!self.no_encryption))?;
        files::replace(&path, &made.bytes, 0o600).map_err(|e| unwritten(&path, &e))?;
        let told = serde_json::json!({"file": path, "bytes": made.bytes.len(), "phrase": made.phrase.as_deref(), "manifest": made.manifest});
        context.say(&told, &sentence(&made, &path.display().to_string()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The file: as named, or in the folder that was named.
fn place(out: Option<PathBuf>, name: &str) -> anyhow::Result<PathBuf> {
    let out = std::path::absolute(out.unwrap_or_else(|| ".".into()))?;
    Ok(if out.is_dir() { out.join(name) } else { out })
}

fn unwritten(path: &std::path::Path, e: &std::io::Error) -> Problem {
    Problem::new("SUP-103", format!("{} cannot be written", path.display()), e.to_string(), "Name a folder with free space with --out, such as a USB stick's.")
}

fn sentence(made: &Bundle, file: &str) -> String {
    let lines = &made.manifest.parts;
    let missing: Vec<_> = lines.iter().filter(|l| l.problem.as_deref().is_some_and(|p| p != "not on this host")).collect();
    let removed: usize = lines.iter().map(|l| l.removed).sum();
    let mut out = format!("{file}: {} parts, {} KiB. No post is in it; {removed} secrets were taken out of logs.", lines.iter().filter(|l| l.bytes > 0).count(), made.bytes.len().div_ceil(1024));
    for line in missing {
        let _ = write!(out, "\n  not taken: {} ({})", line.name, line.problem.as_deref().unwrap_or_default().lines().next().unwrap_or_default());
    }
    if let Some(phrase) = &made.phrase {
        let _ = write!(out, "\n\nThis phrase opens it, and nothing keeps it. Tell it to whoever helps on another way than the file:\n\n  {}", **phrase);
    }
    out
}

fn list(taken: &[(String, &'static str)]) -> String {
    let mut out = String::from("Taken:\n");
    taken.iter().for_each(|(name, what)| { let _ = writeln!(out, "  {name:<34} {what}"); });
    out += "Never taken:\n";
    LEFT_OUT.iter().for_each(|(what, why)| { let _ = writeln!(out, "  {what}: {why}"); });
    out
}
