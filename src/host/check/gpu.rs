//! GPU: a card that cannot be used is a loss, not a hindrance: everything is computed on the processor then.

use super::asked::Asked;
use super::tree::list;
use crate::device::{Found, Judged};
use crate::status::Problem;
use crate::status::check::{Check, Group, Verdict};

const G: Group = Group::Gpu;
const NONE: &str = "there is no GPU here";

/// What was found.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What is there.
    pub found: Found,
    /// How it was judged.
    pub judged: Judged,
    /// A kernel was run on each card that can be used: how many, and what went wrong.
    pub tried: Option<Result<usize, Problem>>,
}

/// Takes them as they were read: `device` has its own root.
pub fn read(asked: &Asked) -> Facts {
    Facts { judged: crate::device::judge(&asked.gpu, &Default::default()), found: asked.gpu.clone(), tried: asked.gpu_tried.clone() }
}

/// Judges them.
pub fn judge(f: &Facts) -> Vec<Check> {
    let any = !f.found.cards.is_empty() || f.found.driver.is_some();
    let check = |id, title, why, code: &str, seen: String| {
        let problem = f.judged.problems.iter().find(|p| p.code == code).cloned();
        G.check(id, title, why, seen).only_if(any, NONE).judged(problem.map_or(Verdict::Ok, |problem| Verdict::Warning { problem }))
    };
    let version = |v: Option<&str>| v.unwrap_or("none").to_owned();
    let (driver, library) = (version(f.found.driver.as_deref()), version(f.found.library.as_ref().map(|l| l.version.as_str())));
    let models: Vec<&str> = f.found.gpus.iter().map(|g| g.model.as_str()).collect();
    const WHY: &str = "without it pods that ask for a GPU wait, and everything is computed on the processor";
    let mut all = vec![
        check("gpu.driver", "Driver", WHY, "GPU-101", driver.clone()),
        check("gpu.library", "Library of the driver", WHY, "GPU-103", library.clone()),
        check("gpu.same-version", "Driver and library", "a library of another version refuses to work", "GPU-102", format!("driver {driver}, library {library}")),
        check("gpu.devices", "Device files", WHY, "GPU-104", list(&f.found.shared)),
        check("gpu.shown", "Cards that the driver shows", "a card that the driver does not show cannot be given to a pod", "GPU-108", list(&models)),
        check("gpu.included", "Cards that are left out", "the driver was told to leave a card alone", "GPU-109", list(&models)),
    ];
    let (count, problem) = match &f.tried {
        Some(Ok(count)) => (*count, None),
        Some(Err(problem)) => (0, Some(problem.clone())),
        None => (0, None),
    };
    let computes = G.check("gpu.computes", "A computation on each card", "a card may be shown and yet compute wrongly, or not at all", format!("{count} computed rightly"));
    let told = if any { "it is tried by `antihate check`, on cards that can be used" } else { NONE };
    all.push(computes.only_if(f.tried.is_some(), told).judged(problem.map_or(Verdict::Ok, |problem| Verdict::Warning { problem })));
    all
}
