//! `antihate check`: whether this host can carry a node.

use super::k3s::K3sArg;
use super::payload::PayloadArg;
use super::{Context, DataArg, DriverArg};
use crate::config;
use crate::device::{found, judge as judge_gpus};
use crate::host::check::{Check, Verdict, gpus, judge};
use crate::host::k3s::{K3s, binary};
use crate::config::layout::Layout;
use crate::config::{GIB, HostFacts, Resolved};
use crate::files;
use crate::host::storage::check::Disk;
use crate::host::storage::luks::{self, Wish};
use crate::host::storage::{self, encryption};
use crate::host::survey;
use crate::payload::need;
use crate::status::Problem;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Looks whether this host can carry a node. Exit code 0: yes; 1: no; 2: yes, with losses that are told.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate check\n  antihate check --json | jq '.[] | select(.verdict != \"ok\")'\n  antihate check --k3s /opt/k3s")]
pub struct CheckCmd {
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    payload: PayloadArg,
    #[command(flatten)]
    k3s: K3sArg,
    #[command(flatten)]
    driver: DriverArg,
}

impl CheckCmd {
    /// Reads the facts, judges, prints.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let layout = self.data.layout()?;
        let needs = if layout.current().exists() { 0 } else { need(&self.payload.open(context, &layout.data)?).total() };
        let mut checks = judge(&survey::facts(&layout, needs, false));
        let settings = config::load(&layout.data.join("settings.toml"))?;
        checks.extend(binary::check(&self.k3s.wish(&settings)?, &layout).map(of_k3s));
        checks.push(gpus(&judge_gpus(&found::read(&self.driver.driver_root), &Default::default())));
        checks.extend(disk(&layout)?);
        let mut out = std::io::stdout().lock();
        if context.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&checks)?)?;
        } else {
            checks.iter().try_for_each(|c| writeln!(out, "{}", line(c)))?;
        }
        Ok(ExitCode::from(code(&checks)))
    }
}

/// A binary that is refused cannot carry a node.
fn of_k3s(found: Result<K3s, Problem>) -> Check {
    let verdict = if found.is_ok() { Verdict::Ok } else { Verdict::Failure };
    Check { title: "k3s binary", verdict, problem: found.err() }
}

/// The disk of the volumes: there, large enough, encrypted.
fn disk(layout: &Layout) -> anyhow::Result<[Check; 2]> {
    let settings = config::load(&layout.data.join("settings.toml"))?;
    if let Some(checks) = Wish::of(&settings.storage).map(|wish| encrypted(layout, &settings, &wish)).transpose()?.flatten() {
        return Ok(checks);
    }
    let chosen = settings.storage.place(layout);
    let folder = survey::volumes_disk(layout, chosen.as_deref());
    let promised = Resolved::new(settings.clone(), survey::host_facts(layout, chosen.as_deref())).sizes.volumes.total() * GIB;
    let step = storage::decide(&storage::place(layout), chosen.as_deref());
    let free = files::free_space(&folder).unwrap_or(0);
    let disk = Disk { step, free, used: storage::check::taken(&layout.volumes()), promised, folder: folder.clone() };
    Ok([storage::check::judge(&disk), encryption::check(&encryption::read(Path::new("/"), &folder))])
}

/// The same for an encrypted disk that is not open yet: what its formatting or opening would come to. Nothing where it is open.
fn encrypted(layout: &Layout, settings: &config::Valid, wish: &Wish) -> anyhow::Result<Option<[Check; 2]>> {
    let facts = luks::look(layout, wish)?;
    if facts.state == luks::State::Mounted {
        return Ok(None);
    }
    let step = luks::decide(Some(wish), &facts).map(|_| storage::Step::Go);
    let size = wish.size.or_else(|| luks::disk::size(&facts.on).ok()).unwrap_or(0);
    let host = HostFacts { disk_bytes: size, ..survey::host_facts(layout, None) };
    let promised = Resolved::new(settings.clone(), host).sizes.volumes.total() * GIB;
    let at_rest = encryption::Facts { device: Some(facts.on.display().to_string()), encrypted: step.is_ok(), dm_crypt: facts.dm_crypt };
    let disk = Disk { step, free: size, used: 0, promised, folder: facts.on };
    Ok(Some([storage::check::judge(&disk), encryption::check(&at_rest)]))
}

fn line(check: &Check) -> String {
    let word = match check.verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Failure => "failure",
    };
    let words = check.problem.as_ref().map(|p| format!("\n{}", p.render())).unwrap_or_default();
    format!("{word:<8} {}{words}", check.title)
}

fn code(checks: &[Check]) -> u8 {
    let any = |v: Verdict| checks.iter().any(|c| c.verdict == v);
    if any(Verdict::Failure) { 1 } else if any(Verdict::Warning) { 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_the_worst_verdict() {
        let check = |verdict| Check { title: "x", verdict, problem: None };
        assert_eq!(code(&[check(Verdict::Ok)]), 0);
        assert_eq!(code(&[check(Verdict::Ok), check(Verdict::Warning)]), 2);
        assert_eq!(code(&[check(Verdict::Warning), check(Verdict::Failure)]), 1);
    }
}
