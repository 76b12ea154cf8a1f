//! What a first start was asked for, kept until the node was healthy once: whoever goes on with a start that was cut off and asks for
//! something else hears what differs, and is asked.
//!
//! Its life: written before anything is made; compared at every start until the first healthy one marks it as finished. From then on
//! another name or setting is an ordinary change, which is checked elsewhere. The file itself may be another one: what it carries lies
//! unpacked by its content.

use super::settings::Settings;
use crate::config::layout::Layout;
use crate::files;
use crate::status::Problem;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is asked for, each with the words that a person knows it by. No secret is among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// Name and what was wanted, in the order in which it is told.
    pub wanted: Vec<(String, String)>,
    /// True once the node was healthy with them.
    pub finished: bool,
}

impl Inputs {
    /// Of the resolved settings; `sample` is what the command line asks for. What a running node takes up from its settings is not asked about.
    pub fn of(s: &Settings, sample: bool) -> Inputs {
        let path = |p: &Option<PathBuf>| p.as_ref().map_or("none".to_string(), |p| p.display().to_string());
        let wanted = [
            ("name of the node", s.node.clone()),
            ("address", if s.node_ip_given { s.node_ip.to_string() } else { "that of the host".into() }),
            ("Kubernetes", s.distribution.named().unwrap_or_else(|| "the embedded one".into())),
            ("addresses of pods", format!("{:?}", s.place.stack).to_lowercase()),
            ("way between hosts", format!("{:?}", s.place.between).to_lowercase()),
            ("folder of the volumes", path(&s.storage)),
            ("encrypted disk", path(&s.encrypt.as_ref().map(|w| w.on.clone()))),
            ("sample input", if sample { "yes" } else { "no" }.into()),
        ];
        Inputs { wanted: wanted.map(|(name, what)| (name.into(), what)).into(), finished: false }
    }
}

/// What differs, a line each: `name of the node: leaf-1 before, leaf-2 now`. Pure.
pub fn differences(before: &Inputs, now: &Inputs) -> Vec<String> {
    let of = |all: &Inputs, name: &str| all.wanted.iter().find(|(n, _)| n == name).map_or("not known".to_string(), |(_, what)| what.clone());
    now.wanted.iter().filter(|(name, what)| of(before, name) != *what).map(|(name, what)| format!("{name}: {} before, {what} now", of(before, name))).collect()
}

fn file(layout: &Layout) -> PathBuf {
    layout.data.join("inputs.json")
}

fn keep(layout: &Layout, inputs: &Inputs) -> Result<(), Problem> {
    let raw = serde_json::to_vec_pretty(inputs).expect("plain data");
    files::replace_if_changed(&file(layout), &raw, 0o600).map(drop).map_err(|e| {
        Problem::new("PRE-112", format!("{} cannot be written", file(layout).display()), e.to_string(), "see that the data root has room and can be written, then start again")
    })
}

/// Compares with the start that was cut off, if there is one, and keeps what is wanted now. `agrees` is asked with the differences.
pub fn settle(layout: &Layout, now: &Inputs, agrees: impl FnOnce(&[String]) -> bool) -> Result<(), Problem> {
    // Damaged or not there: nothing is known of an earlier start, so there is nothing to differ from.
    let before = std::fs::read(file(layout)).ok().and_then(|raw| serde_json::from_slice::<Inputs>(&raw).ok());
    let Some(before) = before else { return keep(layout, now) };
    let differ = differences(&before, now);
    if before.finished || differ.is_empty() {
        return keep(layout, &Inputs { finished: before.finished, ..now.clone() });
    }
    if agrees(&differ) {
        return keep(layout, now);
    }
    let next = "start it with the same as before; or go on with what is wanted now by `antihate up --changed`; or begin anew with `antihate reset`";
    Err(Problem::new("PRE-111", "an earlier start was cut off that was asked for something else", differ.join("; "), next))
}

/// The node is healthy: what is asked for from now on is an ordinary change.
pub fn finish(layout: &Layout) -> Result<(), Problem> {
    match std::fs::read(file(layout)).ok().and_then(|raw| serde_json::from_slice::<Inputs>(&raw).ok()) {
        Some(inputs) if !inputs.finished => keep(layout, &Inputs { finished: true, ..inputs }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(name: &str, folder: &str) -> Inputs {
        Inputs { wanted: vec![("name of the node".into(), name.into()), ("folder of the volumes".into(), folder.into())], finished: false }
    }

    #[test]
    fn a_start_that_was_cut_off_goes_on_with_the_same_and_asks_about_others() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let never = |_: &[String]| panic!("nothing differs");
        settle(&layout, &inputs("leaf-1", "none"), never).unwrap();
        settle(&layout, &inputs("leaf-1", "none"), never).unwrap();
        let refused = settle(&layout, &inputs("leaf-2", "/srv"), |_| false).unwrap_err();
        assert_eq!((refused.code.as_str(), refused.cause.as_str()), ("PRE-111", "name of the node: leaf-1 before, leaf-2 now; folder of the volumes: none before, /srv now"));
        settle(&layout, &inputs("leaf-1", "none"), never).expect("what was refused was not kept");
        settle(&layout, &inputs("leaf-2", "none"), |differ| differ.len() == 1).unwrap();
        settle(&layout, &inputs("leaf-2", "none"), never).expect("what was agreed to was kept");
    }

    #[test]
    fn a_finished_one_may_change_and_a_damaged_record_asks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let never = |_: &[String]| panic!("it is not asked");
        finish(&layout).unwrap();
        settle(&layout, &inputs("leaf-1", "none"), never).unwrap();
        finish(&layout).unwrap();
        settle(&layout, &inputs("leaf-2", "none"), never).unwrap();
        settle(&layout, &inputs("leaf-3", "none"), never).expect("it stays finished");
        std::fs::write(file(&layout), "{").unwrap();
        finish(&layout).unwrap();
        settle(&layout, &inputs("leaf-4", "none"), never).unwrap();
    }
}
