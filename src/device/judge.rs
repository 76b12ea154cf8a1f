//! Whether the GPUs that were found can be used, card by card, and what to do where they cannot. Pure.

use super::found::{Found, Gpu, SHARED};
use crate::status::Problem;
use serde::Serialize;
use std::collections::BTreeMap;

/// What is known from before this look.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Cards that were there, by id.
    pub known: BTreeMap<String, Gpu>,
    /// Errors of the cards themselves that nothing has disproved since, by id.
    pub xids: BTreeMap<String, u32>,
    /// There is a program that computes on a card: one that has not computed yet does not count.
    pub provable: bool,
    /// How the last try to compute on a card ended, by id: nothing where it was right.
    pub proofs: BTreeMap<String, Option<String>>,
}

/// How the host stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// There is no card.
    Absent,
    /// Every card can be used.
    Ready,
    /// A card is there, or was, that cannot be used: what needs it goes on on the processor.
    Degraded,
}

/// One card, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Card {
    /// By what Kubernetes knows it.
    pub id: String,
    /// The card; as it was last, where it is gone.
    #[serde(flatten)]
    pub gpu: Gpu,
    /// Why it cannot be used.
    pub problem: Option<Problem>,
}

/// All of it, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// How the host stands.
    pub state: State,
    /// The cards.
    pub gpus: Vec<Card>,
    /// Everything that is wrong, each thing once.
    pub problems: Vec<Problem>,
}

impl Judged {
    /// One sentence for a person.
    pub fn sentence(&self) -> String {
        let well = self.gpus.iter().filter(|c| c.problem.is_none());
        let mut models: BTreeMap<&str, usize> = BTreeMap::new();
        well.for_each(|c| *models.entry(&c.gpu.model).or_default() += 1);
        let well: Vec<String> = models.into_iter().map(|(model, n)| format!("{n} x {model}")).collect();
        match (self.state, &well[..], self.problems.first()) {
            (State::Absent, ..) => "no GPU: everything is computed on the processor".into(),
            (State::Ready, well, _) => format!("{} for pods that ask for it; the text analyzer itself computes on the processor", well.join(", ")),
            (State::Degraded, [], Some(problem)) => format!("degraded: CPU. {problem}: {}", problem.cause),
            (State::Degraded, well, problem) => {
                format!("degraded: {} left. {}", well.join(", "), problem.map(|p| format!("{p}: {}", p.cause)).unwrap_or_default())
            }
        }
    }
}

/// Judges what was found.
pub fn judge(found: &Found, past: &Past) -> Judged {
    let common = common(found);
    let of_card = |gpu: &Gpu, gone: bool| common.clone().or_else(|| own(gpu, past, gone));
    let mut gpus: Vec<Card> = found.gpus.iter().map(|g| Card { id: g.id(), gpu: g.clone(), problem: of_card(g, false) }).collect();
    let gone = past.known.iter().filter(|(id, old)| !gpus.iter().any(|c| c.id == **id || c.gpu.bus == old.bus));
    let gone: Vec<Card> = gone.map(|(id, old)| Card { id: id.clone(), gpu: old.clone(), problem: of_card(old, true) }).collect();
    gpus.extend(gone);
    let mut problems: Vec<Problem> = gpus.iter().filter_map(|c| c.problem.clone()).collect();
    problems.extend(unseen(found, &gpus).into_iter().chain(common.filter(|_| gpus.is_empty())));
    problems.dedup();
    let state = if !problems.is_empty() {
        State::Degraded
    } else if gpus.is_empty() {
        State::Absent
    } else {
        State::Ready
    };
    Judged { state, gpus, problems }
}

/// What keeps every card from being used.
fn common(found: &Found) -> Option<Problem> {
    let cards = || found.cards.iter().map(|c| c.bus.as_str()).collect::<Vec<_>>().join(", ");
    let given_away = found.cards.iter().all(|c| c.driver.as_deref() == Some("vfio-pci"));
    match (&found.driver, &found.library) {
        (None, _) if found.cards.is_empty() || given_away => None,
        (None, _) => {
            let holder = found.cards.iter().find_map(|c| c.driver.as_deref()).map_or("no driver holds it".into(), |d| format!("the driver {d} holds it, which cannot compute"));
            Some(Problem::new("GPU-101", format!("the card at {} has no NVIDIA driver", cards()), holder, "Install NVIDIA's driver (on Debian: `apt install nvidia-driver`), restart the host, then `antihate gpu check`."))
        }
        (Some(driver), None) => Some(Problem::new(
            "GPU-103", format!("the driver {driver} is in the kernel, its library is not on the disk"), "libcuda.so.1 was found in none of the usual folders", "Install the same version's library (on Debian: `apt install libcuda1`), then `antihate gpu check`.",
        )),
        (Some(driver), Some(library)) if *driver != library.version => Some(Problem::new(
            "GPU-102", format!("the kernel has driver {driver} and the disk library {}", library.version), "the driver was updated and the kernel still holds the old one, or two are installed", "Restart the host; if it stays so, remove one of the two drivers. Then `antihate gpu check`.",
        )),
        (Some(_), Some(_)) => missing(&SHARED[..2].iter().copied().filter(|f| !found.shared.iter().any(|s| s == f)).collect::<Vec<_>>()),
    }
}

fn missing(files: &[&str]) -> Option<Problem> {
    let words = || Problem::new("GPU-104", format!("device files are missing: {}", files.join(", ")), "nobody has made them since the driver was loaded, or they were removed", "Run `nvidia-modprobe -u -c 0` (or `nvidia-smi`) once; the node sees it by itself.");
    (!files.is_empty()).then(words)
}

/// What keeps one card from being used.
fn own(gpu: &Gpu, past: &Past, gone: bool) -> Option<Problem> {
    let (id, name) = (gpu.id(), format!("{} at {}", gpu.model, gpu.bus));
    if gone {
        return Some(Problem::new("GPU-105", format!("{name} is gone"), "the driver does not show it any more: it fell off the bus, or was taken away", "Look for Xid in `dmesg`; restart the host. What ran on it must be started again."));
    }
    if gpu.excluded {
        return Some(Problem::new("GPU-109", format!("{name} is left out"), "the driver was told to exclude it", "Remove it from the driver's NVreg_ExcludedGpus, then restart the host."));
    }
    if gpu.device.is_none() {
        return missing(&[&gpu.file()]);
    }
    if let Some(xid) = past.xids.get(&id) {
        return Some(Problem::new("GPU-106", format!("{name} reported error {xid}"), format!("the kernel's log says Xid {xid}, and the card has not computed rightly since"), "Read NVIDIA's list of Xid errors; usually `nvidia-smi --gpu-reset` or a restart of the host helps."));
    }
    match past.proofs.get(&id) {
        Some(Some(why)) => Some(Problem::new("GPU-107", format!("{name} does not compute"), why.clone(), "Run `antihate gpu check`; look for NVRM in `dmesg`.")),
        None if past.provable => Some(Problem::new("GPU-110", format!("{name} has not computed yet"), "a small computation on it is under way", "Wait a moment; it is tried by itself.")),
        Some(None) | None => None,
    }
}

/// Cards on the bus that the driver, which is there, does not show. Those that were given to a virtual machine are none of ours.
fn unseen(found: &Found, gpus: &[Card]) -> Option<Problem> {
    let ours = found.cards.iter().filter(|c| c.driver.as_deref() != Some("vfio-pci"));
    let lost: Vec<&str> = ours.map(|c| c.bus.as_str()).filter(|bus| !gpus.iter().any(|g| g.gpu.bus.eq_ignore_ascii_case(bus))).collect();
    let words = || Problem::new("GPU-108", format!("the driver does not show the card at {}", lost.join(", ")), "it could not start it, or another driver holds it", "Look for NVRM in `dmesg`; a card that is too old needs an older driver.");
    (found.driver.is_some() && !lost.is_empty()).then(words)
}

#[cfg(test)]
mod tests {
    use super::super::found::Card as OnBus;
    use super::super::library::Library;
    use super::*;

    fn gpu(n: u32) -> Gpu {
        Gpu { bus: format!("0000:0{n}:00.0"), model: "Stand-in".into(), uuid: Some(format!("GPU-{n}")), minor: n, device: Some((u64::from(n) + 1, 1)), ..Gpu::default() }
    }

    fn good() -> Found {
        let gpus = vec![gpu(0), gpu(1)];
        let cards = gpus.iter().map(|g| OnBus { bus: g.bus.clone(), driver: Some("nvidia".into()), numa: None }).collect();
        let library = Library { version: "580.1".into(), ..Library::default() };
        Found { cards, driver: Some("580.1".into()), gpus, library: Some(library), shared: SHARED.map(String::from).into() }
    }

    fn codes(judged: &Judged) -> Vec<&str> {
        judged.problems.iter().map(|p| p.code.as_str()).collect()
    }

    #[test]
    fn a_host_without_a_card_is_no_fault_and_one_with_all_in_order_is_ready() {
        assert_eq!(judge(&Found::default(), &Past::default()).state, State::Absent);
        let judged = judge(&good(), &Past::default());
        assert_eq!((judged.state, judged.gpus.len(), codes(&judged).len()), (State::Ready, 2, 0));
        assert!(judged.sentence().starts_with("2 x Stand-in"));
    }

    #[test]
    fn what_keeps_every_card_from_being_used_is_told_once() {
        let spoil: [(&str, fn(&mut Found)); 5] = [
            ("GPU-101", |f| (f.driver, f.gpus) = (None, vec![])),
            ("GPU-102", |f| f.driver = Some("590.0".into())),
            ("GPU-103", |f| f.library = None),
            ("GPU-104", |f| f.shared.retain(|s| s != "/dev/nvidia-uvm")),
            ("GPU-108", |f| drop(f.gpus.pop())),
        ];
        for (code, edit) in spoil {
            let mut found = good();
            edit(&mut found);
            let judged = judge(&found, &Past::default());
            assert_eq!((judged.state, codes(&judged)), (State::Degraded, vec![code]));
            assert!(judged.problems[0].next.ends_with('.') && !judged.problems[0].cause.is_empty());
            assert!(judged.sentence().starts_with("degraded: "), "{}", judged.sentence());
        }
    }

    #[test]
    fn a_card_fails_alone_and_the_other_is_used() {
        let one = |edit: fn(&mut Found, &mut Past)| {
            let (mut found, mut past) = (good(), Past::default());
            past.known = found.gpus.iter().map(|g| (g.id(), g.clone())).collect();
            edit(&mut found, &mut past);
            let judged = judge(&found, &past);
            assert_eq!(judged.gpus.iter().filter(|c| c.problem.is_none()).map(|c| c.id.as_str()).collect::<Vec<_>>(), ["GPU-0"]);
            assert_eq!(judged.sentence().split(" left").next(), Some("degraded: 1 x Stand-in"));
            codes(&judged).join(",")
        };
        assert_eq!(one(|f, _| f.gpus[1].device = None), "GPU-104");
        assert_eq!(one(|f, _| (f.gpus, f.cards) = (vec![f.gpus[0].clone()], vec![f.cards[0].clone()])), "GPU-105");
        assert_eq!(one(|_, p| p.xids = BTreeMap::from([("GPU-1".into(), 79)])), "GPU-106");
        assert_eq!(one(|_, p| drop(p.proofs.insert("GPU-1".into(), Some("cuInit: 999".into())))), "GPU-107");
        assert_eq!(one(|f, _| f.gpus[1].excluded = true), "GPU-109");
        assert_eq!(one(|_, p| (p.provable, p.proofs) = (true, BTreeMap::from([("GPU-0".into(), None)]))), "GPU-110");
    }

    #[test]
    fn a_card_that_was_given_to_a_virtual_machine_is_none_of_ours() {
        let mut found = Found { cards: good().cards, ..Found::default() };
        found.cards.iter_mut().for_each(|c| c.driver = Some("vfio-pci".into()));
        assert_eq!(judge(&found, &Past::default()).state, State::Absent);
        found.cards[0].driver = Some("nouveau".into());
        let judged = judge(&found, &Past::default());
        assert!(judged.problems[0].code == "GPU-101" && judged.problems[0].cause.contains("nouveau"));
    }

    #[test]
    fn a_card_whose_number_became_known_is_the_same_card() {
        let mut past = Past::default();
        let nameless = Gpu { uuid: None, ..gpu(0) };
        past.known.insert(nameless.id(), nameless);
        assert_eq!(judge(&good(), &past).gpus.len(), 2, "none is gone");
    }
}
