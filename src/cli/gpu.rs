//! `antihate gpu`: which GPUs are here, and whether they compute.

use super::{Context, DriverArg};
use crate::device::found::{self, Found};
use crate::device::judge::{Card, Judged, State, judge};
use crate::device::{cdi, probe};
use crate::status::Problem;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

/// Lists the GPUs of this host; `check` also computes on each, `cdi` prints what containers get. Exit code 0: all can be used, or (without `check`) there is none; 1: not.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate gpu\n  antihate gpu check --json\n  antihate gpu cdi > /etc/cdi/nvidia.json")]
pub struct GpuCmd {
    #[command(flatten)]
    driver: DriverArg,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(clap::Subcommand)]
enum What {
    /// Computes on every card that could be used; exit code 1 where one fails, and where there is none.
    #[command(after_help = "Example:\n  antihate gpu check --json")]
    Check,
    /// Prints the file of the Container Device Interface for the cards that can be used.
    #[command(after_help = "Example:\n  antihate gpu cdi")]
    Cdi,
}

impl GpuCmd {
    /// Looks, computes where that was asked for, prints.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let found = found::read(&self.driver.driver_root);
        let mut judged = judge(&found, &Default::default());
        let mut proofs = Vec::new();
        match self.what {
            Some(What::Cdi) => return self.cdi(&found, &judged),
            Some(What::Check) if judged.state == State::Absent => {
                return Err(Problem::new("GPU-100", "there is no GPU here", "neither the bus nor NVIDIA's driver shows a card", "Nothing is wrong: everything is computed on the processor.").into());
            }
            Some(What::Check) => proofs = prove(context, &found, &mut judged)?,
            None => {}
        }
        let text = if context.json { serde_json::to_string_pretty(&told(&found, &judged, &proofs))? + "\n" } else { render(&found, &judged, &proofs) };
        std::io::stdout().lock().write_all(text.as_bytes())?;
        Ok(if judged.state == State::Degraded { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn cdi(&self, found: &Found, judged: &Judged) -> anyhow::Result<ExitCode> {
        let well: Vec<_> = judged.gpus.iter().filter(|c| c.problem.is_none()).map(|c| &c.gpu).collect();
        let none = || judged.problems.first().cloned().unwrap_or_else(|| Problem::new("GPU-100", "there is no GPU here", "neither the bus nor NVIDIA's driver shows a card", "Run it on a host with a card."));
        let text = cdi::render(&self.driver.driver_root, found, &well).ok_or_else(none)?;
        std::io::stdout().lock().write_all(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Computes on each card without a problem; one that fails gets one.
pub(super) fn prove(context: &Context, found: &Found, judged: &mut Judged) -> anyhow::Result<Vec<(String, probe::Proof)>> {
    let folder = tempfile::tempdir()?;
    let lacking = |e: std::io::Error| Problem::new("GPU-111", "no card was tried", e.to_string(), "Use the one file that `appliance/build` makes, or build the program beside this one.");
    let program = probe::program(context.gpu_probe, folder.path()).map_err(lacking)?;
    let mut proofs = Vec::new();
    for card in judged.gpus.iter_mut().filter(|c| c.problem.is_none()) {
        match probe::prove(&program, found, &card.gpu) {
            Ok(proof) => proofs.push((card.id.clone(), proof)),
            Err(why) => {
                let problem = Problem::new("GPU-107", format!("{} at {} does not compute", card.gpu.model, card.gpu.bus), why, "Look for NVRM in `dmesg`; restart the host.");
                card.problem = Some(problem.clone());
                judged.problems.push(problem);
                judged.state = State::Degraded;
            }
        }
    }
    Ok(proofs)
}

fn told(found: &Found, judged: &Judged, proofs: &[(String, probe::Proof)]) -> Value {
    let card = |c: &Card| {
        let mut value = json!(c);
        value["computed"] = proofs.iter().find(|(id, _)| *id == c.id).map_or(Value::Null, |(_, p)| json!(p));
        value
    };
    json!({
        "state": judged.state, "sentence": judged.sentence(), "driver": found.driver,
        "library": found.library.as_ref().map(|l| json!({"version": l.version, "folder": l.folder, "names": l.files.len()})),
        "gpus": judged.gpus.iter().map(card).collect::<Vec<_>>(), "problems": judged.problems,
    })
}

fn render(found: &Found, judged: &Judged, proofs: &[(String, probe::Proof)]) -> String {
    let mut out = String::new();
    let version = |v: Option<&str>| v.unwrap_or("none").to_owned();
    let _ = writeln!(out, "{}", judged.sentence());
    let _ = writeln!(out, "driver {}, library {}", version(found.driver.as_deref()), version(found.library.as_ref().map(|l| l.version.as_str())));
    for card in &judged.gpus {
        let word = if card.problem.is_none() { "ok" } else { "failure" };
        let _ = writeln!(out, "{word:<8} {} ({}, {}, {})", card.gpu.model, card.id, card.gpu.bus, card.gpu.file());
        if let Some((_, p)) = proofs.iter().find(|(id, _)| *id == card.id) {
            let _ = writeln!(out, "         computed {} numbers rightly; {:.0} GiB, capability {}, CUDA {}.{}", p.computed, p.memory as f64 / (1u64 << 30) as f64, p.capability, p.cuda / 1000, p.cuda % 1000 / 10);
        }
    }
    judged.problems.iter().for_each(|p| out.push_str(&(p.render() + "\n")));
    out
}
