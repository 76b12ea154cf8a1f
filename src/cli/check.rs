//! `antihate check`: whether this host can carry a node.

use super::k3s::K3sArg;
use super::payload::PayloadArg;
use super::{Context, DataArg, DriverArg};
use crate::config::layout::Layout;
use crate::config::{self, GIB, HostFacts, Resolved};
use crate::device::{Found, judge as judge_gpus};
use crate::files;
use crate::host::check::{self, Check, Group, Question, Verdict, text};
use crate::host::guard;
use crate::host::k3s::binary;
use crate::host::storage::check::Disk;
use crate::host::storage::luks::{self, Wish};
use crate::host::storage::{self, encryption};
use crate::host::survey;
use crate::payload::need;
use crate::status::Problem;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

/// Looks whether this host can carry a node: what was seen, why it matters, how to mend it. Exit code 0: yes; 1: no; 2: yes, with
/// losses that are told.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate check\n  antihate check --all --group disk\n  antihate check --json | jq '.[] | select(.verdict != \"ok\")'\n  antihate check --k3s /opt/k3s")]
pub struct CheckCmd {
    #[command(flatten)]
    data: DataArg,
    #[command(flatten)]
    payload: PayloadArg,
    #[command(flatten)]
    k3s: K3sArg,
    #[command(flatten)]
    driver: DriverArg,
    /// Only the checks of one group.
    #[arg(long, value_name = "NAME", value_parser = group())]
    group: Option<Group>,
    /// A line for every check, not only for those with a problem.
    #[arg(long)]
    all: bool,
}

fn group() -> impl clap::builder::TypedValueParser<Value = Group> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(Group::ALL.map(Group::name)).map(|name| Group::parse(&name).expect("one of the names"))
}

impl CheckCmd {
    /// Asks, judges, prints.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let mut checks = self.judged(context)?;
        checks.retain(|c| self.group.is_none_or(|wanted| wanted == c.group));
        let mut out = std::io::stdout().lock();
        if context.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&checks)?)?;
        } else {
            let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
            write!(out, "{}", text::render(&checks, text::Style { all: self.all, colour }))?;
        }
        Ok(ExitCode::from(code(&checks)))
    }

    fn judged(&self, context: &Context) -> anyhow::Result<Vec<Check>> {
        let layout = self.data.layout()?;
        let need = if layout.current().exists() { 0 } else { need(&self.payload.open(context, &layout.data)?).total() };
        // What takes a moment is left out where nobody asked for it.
        let quick = self.group.is_some_and(|g| ![Group::Disk, Group::Resolver, Group::Gpu].contains(&g));
        let running = guard::is_held(&layout);
        let question = Question { layout: &layout, need, address: false, page: check::PAGE, driver_root: &self.driver.driver_root, running, quick };
        let mut asked = check::ask(&question);
        let settings = config::load(&layout.data.join("settings.toml"))?;
        asked.k3s = binary::check(&self.k3s.wish(&settings)?, &layout).map(|found| found.map(|k3s| k3s.version));
        asked.gpu_tried = if quick { None } else { try_gpus(context, &asked.gpu) };
        let (volumes, at_rest) = disk(&layout, &settings)?;
        (asked.disk.volumes, asked.disk.at_rest) = (Some(volumes), Some(at_rest));
        Ok(check::run(Path::new("/"), &asked))
    }
}

/// Computes on every card that can be used; nothing where there is none.
fn try_gpus(context: &Context, found: &Found) -> Option<Result<usize, Problem>> {
    let mut judged = judge_gpus(found, &Default::default());
    if judged.gpus.iter().all(|c| c.problem.is_some()) {
        return None;
    }
    let known = judged.problems.len();
    let tried = super::gpu::prove(context, found, &mut judged);
    Some(match (tried, judged.problems.get(known)) {
        (Err(error), _) => Err(error.downcast().unwrap_or_else(|e| Problem::new("GPU-111", "no card was tried", format!("{e:#}"), "Run `antihate gpu check`."))),
        (Ok(_), Some(problem)) => Err(problem.clone()),
        (Ok(proofs), None) => Ok(proofs.len()),
    })
}

/// The disk of the volumes: there, large enough, encrypted.
fn disk(layout: &Layout, settings: &config::Valid) -> anyhow::Result<(Disk, encryption::Facts)> {
    if let Some(facts) = Wish::of(&settings.storage).map(|wish| encrypted(layout, settings, &wish)).transpose()?.flatten() {
        return Ok(facts);
    }
    let chosen = settings.storage.place(layout);
    let folder = survey::volumes_disk(layout, chosen.as_deref());
    let promised = Resolved::new(settings.clone(), survey::host_facts(layout, chosen.as_deref())).sizes.volumes.total() * GIB;
    let step = storage::decide(&storage::place(layout), chosen.as_deref());
    let free = files::free_space(&folder).unwrap_or(0);
    let at_rest = encryption::read(Path::new("/"), &folder);
    Ok((Disk { step, free, used: storage::check::taken(&layout.volumes()), promised, folder }, at_rest))
}

/// The same for an encrypted disk that is not open yet: what its formatting or opening would come to. Nothing where it is open.
fn encrypted(layout: &Layout, settings: &config::Valid, wish: &Wish) -> anyhow::Result<Option<(Disk, encryption::Facts)>> {
    let facts = luks::look(layout, wish)?;
    if facts.state == luks::State::Mounted {
        return Ok(None);
    }
    let step = luks::decide(Some(wish), &facts).map(|_| storage::Step::Go);
    let size = wish.size.or_else(|| luks::disk::size(&facts.on).ok()).unwrap_or(0);
    let host = HostFacts { disk_bytes: size, ..survey::host_facts(layout, None) };
    let promised = Resolved::new(settings.clone(), host).sizes.volumes.total() * GIB;
    let at_rest = encryption::Facts { device: Some(facts.on.display().to_string()), encrypted: step.is_ok(), dm_crypt: facts.dm_crypt };
    Ok(Some((Disk { step, free: size, used: 0, promised, folder: facts.on }, at_rest)))
}

fn code(checks: &[Check]) -> u8 {
    let any = |wanted: fn(&Verdict) -> bool| checks.iter().any(|c| wanted(&c.verdict));
    if any(Verdict::is_failure) { 1 } else if any(Verdict::is_warning) { 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_the_worst_verdict() {
        let check = |warns, fails| Group::Disk.check("disk.x", "x", "x", "x").fails(fails, "CHK-1", "x", "x.").warns(warns, "CHK-2", "x", "x.");
        let (ok, warning, failure) = (check(false, false), check(true, false), check(false, true));
        assert_eq!(code(&[ok.clone().only_if(false, "not here")]), 0);
        assert_eq!(code(&[ok, warning.clone()]), 2);
        assert_eq!(code(&[warning, failure]), 1);
    }
}
