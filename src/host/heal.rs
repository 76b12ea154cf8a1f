//! Makes anew what a power cut or a failing disk damaged: the datastore, the container runtime's store, the kubelet's checkpoints,
//! and, by a fresh start alone, keys and configuration.
//!
//! All of it comes again from the payload and our own manifests, without a network. Posts lie elsewhere, in PostgreSQL's and
//! Kafka's volumes, and are never touched. What runs only notices: it leaves a note, ends everything and starts the program
//! anew; the rebuilding is done by the next start, while nothing runs, and goes on after a kill because the note stays until then.

use super::distribution::Distribution;
use super::policy::claims::RESULTS;
use super::{reset, stop};
use crate::config::layout::Layout;
use crate::device::plugin;
use crate::files;
use crate::process::cgroup::{self, Cgroup};
use crate::status::Problem;
use crate::store::{self, sums};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What can be made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// kine's database: every object of the cluster.
    Datastore,
    /// containerd's images, snapshots and containers, and the addresses that were given to them.
    Runtime,
    /// What the kubelet remembers of devices, processors and resources.
    Checkpoints,
    /// Keys, rendered configuration, images that the runtime lost: every start compares them and makes anew what is not as it should
    /// be. Pods go on meanwhile.
    Configuration,
}

/// A part that was made anew is not made anew again so soon: what does not help once does not help at once again.
const PAUSE: Duration = Duration::from_secs(600);
/// A component that ended so often in a row does not come up by itself.
const ENDS: u32 = 3;
/// A node that did not become Ready so often, two minutes each, does not become it by waiting.
const UNREADY: u32 = 3;
/// What is made anew when a component ends again and again, in the order in which they depend on each other: who stands on a broken
/// part ends too. Those that keep nothing were given a wrong key or a wrong configuration.
const RUNGS: [(&str, Part); 8] = [
    ("kine", Part::Datastore), ("containerd", Part::Runtime), ("kubelet", Part::Checkpoints), ("kubelet", Part::Runtime),
    ("kube-apiserver", Part::Configuration), ("kube-controller-manager", Part::Configuration), ("kube-scheduler", Part::Configuration), ("kube-proxy", Part::Configuration),
];
/// The kubelet's checkpoints, below its root.
const CHECKPOINTS: [&str; 6] = ["cpu_manager_state", "memory_manager_state", "dra_manager_state", "allocated_pods_state", "actuated_pods_state", "pod_status_manager_state"];
/// The one that every kubelet has at the same place, with the sockets of device plugins.
const DEVICES: &str = "kubelet_internal_checkpoint";

impl Part {
    const ALL: [Part; 4] = [Part::Datastore, Part::Runtime, Part::Checkpoints, Part::Configuration];

    fn name(self) -> &'static str {
        match self {
            Part::Datastore => "datastore",
            Part::Runtime => "runtime",
            Part::Checkpoints => "checkpoints",
            Part::Configuration => "configuration",
        }
    }

    /// Whether containers may go on while it is made anew.
    pub fn spares_pods(self) -> bool {
        self == Part::Configuration
    }
}

/// What is known when something does not come up.
#[derive(Debug, Default)]
pub struct Facts {
    /// What is wrong with the datastore's file.
    pub datastore: Option<String>,
    /// How often each component ended in a row.
    pub ends: Vec<(&'static str, u32)>,
    /// How often the import of images failed in a row.
    pub imports_failed: u32,
    /// How often in a row the node did not become Ready in time although every component runs.
    pub unready: u32,
    /// The datastore's process ended and serves again.
    pub came_back: bool,
    /// Why containers do not start, where the runtime or what it should have is at fault.
    pub stuck: Option<String>,
    /// They have not started for so long that a slow machine is no reason.
    pub stuck_for_long: bool,
    /// What was made anew a short time ago.
    pub recent: Vec<Part>,
}

/// What to make anew, and why; nothing when waiting and trying again is all that is left.
pub fn decide(facts: &Facts) -> Option<(Part, String)> {
    let may = |part: Part| !facts.recent.contains(&part);
    let ended = |name: &str| facts.ends.iter().find(|(n, ends)| *n == name && *ends >= ENDS).map(|(n, ends)| format!("{n} ended {ends} times in a row"));
    if let Some(damage) = facts.datastore.as_ref().filter(|_| may(Part::Datastore)) {
        return Some((Part::Datastore, damage.clone()));
    }
    let rung = RUNGS.into_iter().find_map(|(name, part)| Some((part, ended(name)?)).filter(|(part, _)| may(*part)));
    let imports = (facts.imports_failed >= ENDS).then(|| (Part::Runtime, "images cannot be imported".to_string()));
    let unready = (facts.unready >= UNREADY).then(|| (Part::Runtime, "every component runs and the node does not become Ready".to_string()));
    // What a damaged log held is gone with it: an API server that has seen more than the datastore holds stays out of step with it.
    let came_back = facts.came_back.then(|| (Part::Configuration, "the datastore ended and came back: what stands on it begins anew".to_string()));
    let rungs = if facts.stuck_for_long { &[Part::Configuration, Part::Runtime][..] } else { &[Part::Configuration] };
    let stuck = rungs.iter().filter_map(|part| Some((*part, facts.stuck.clone()?)));
    rung.into_iter().chain(imports).chain(unready).chain(came_back).chain(stuck).find(|(part, _)| may(*part))
}

/// Adds what lies on the disk to what was seen of the components; the datastore is read only when it is `suspected`.
pub fn look(layout: &Layout, seen: Facts, suspected: bool) -> Facts {
    let recent = Part::ALL.into_iter().filter(|part| was_rebuilt_lately(layout, *part)).collect();
    Facts { datastore: suspected.then(|| datastore_damage(layout)).flatten(), recent, ..seen }
}

/// Damage of the datastore's structure, or of what stands in its rows.
fn datastore_damage(layout: &Layout) -> Option<String> {
    let database = database(layout);
    store::damage(&database).or_else(|| sums::changed(&database, &sums_of(&database)))
}

/// Remembers what stands in the datastore's rows, so that a later start sees whether it is still the same. Blocks for some
/// milliseconds; what cannot be remembered is only told: the node works without it.
pub fn remember(layout: &Layout) {
    let database = database(layout);
    // k3s may change its rows in ways of its own when it is updated.
    if Distribution::of(layout) != Distribution::Embedded || !database.exists() {
        return;
    }
    if let Err(e) = sums::keep(&database, &sums_of(&database)) {
        tracing::warn!(error = %e, cause = %std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default(), "changes of bits in the datastore are not seen for now");
    }
}

/// Beside the database, so that they are set aside together.
fn sums_of(database: &Path) -> PathBuf {
    database.with_file_name("rows.sums")
}

/// Leaves a note for the next start.
pub fn ask_for(layout: &Layout, part: Part, why: &str) -> Result<(), Problem> {
    files::replace(&note(layout, part), why.as_bytes(), 0o600).map_err(|e| failed(part, &e))
}

/// Makes anew what was asked for and what is seen to be damaged; ends what still runs of the node first. Returns what it did,
/// in words. Blocks; no component may run.
pub fn at_start(layout: &Layout) -> Result<Vec<String>, Problem> {
    let mut done = Vec::new();
    for part in Part::ALL {
        let Some(why) = std::fs::read_to_string(note(layout, part)).ok().or_else(|| seen(layout, part)) else { continue };
        done.push(make_anew(layout, part, &why)?);
    }
    // Before kine gives numbers to new rows: after a lost log they are those of rows that are known and gone.
    remember(layout);
    forget_addresses(layout).map_err(|e| failed(Part::Runtime, &e))?;
    Ok(done)
}

/// Where no pod lives none has an address: a record that was damaged would be one that nobody can ever give back. What the plugins'
/// library keeps goes too, because it names the same addresses as another pod's.
fn forget_addresses(layout: &Layout) -> std::io::Result<()> {
    let pods = Cgroup::new(Path::new(cgroup::MOUNT), &layout.cgroup()).child("kubepods");
    if !pods.processes().is_empty() {
        return Ok(());
    }
    let results = reset::plugin_results(Path::new(RESULTS), layout);
    results.iter().try_for_each(|file| absent(std::fs::remove_file(file)))?;
    absent(std::fs::remove_dir_all(layout.kubernetes().join("cni")))
}

/// The key that encrypts secrets is lost: what it encrypted can be read by nobody any more. Blocks.
pub fn without_old_secrets(layout: &Layout) -> Result<Option<String>, Problem> {
    let there = database(layout).exists();
    there.then(|| make_anew(layout, Part::Datastore, "the key of its secrets was damaged or lost")).transpose()
}

fn make_anew(layout: &Layout, part: Part, why: &str) -> Result<String, Problem> {
    tracing::warn!(part = part.name(), why, "a damaged part of the node is made anew; posts are not touched");
    if !part.spares_pods() {
        stop::leftovers(layout)?;
    }
    remove(layout, part).map_err(|e| failed(part, &e))?;
    files::replace(&mark(layout, part), why.as_bytes(), 0o600).map_err(|e| failed(part, &e))?;
    drop(std::fs::remove_file(note(layout, part)));
    Ok(format!("{} made anew: {why}", part.name()))
}

/// Damage that can be seen before anything runs.
fn seen(layout: &Layout, part: Part) -> Option<String> {
    let containerd = Distribution::of(layout).places(layout).runtime_root;
    let known = |path: &str| std::fs::metadata(containerd.join(path)).is_ok_and(|m| m.len() > 0);
    match part {
        Part::Datastore => datastore_damage(layout),
        // An empty list of what is there, beside what is there, is filled with contradictions.
        Part::Runtime if containerd.join("io.containerd.snapshotter.v1.overlayfs/snapshots/1").exists() => {
            let lists = ["io.containerd.metadata.v1.bolt/meta.db", "io.containerd.snapshotter.v1.overlayfs/metadata.db"];
            lists.into_iter().find(|list| !known(list)).map(|list| format!("{list} is gone or empty"))
        }
        Part::Runtime | Part::Checkpoints | Part::Configuration => None,
    }
}

fn remove(layout: &Layout, part: Part) -> std::io::Result<()> {
    let (k, places) = (layout.kubernetes(), Distribution::of(layout).places(layout));
    match part {
        // Kept, for whoever wants to know what happened; the one before it goes.
        Part::Datastore => {
            let store = places.database.parent().expect("a folder");
            let aside = store.with_extension("damaged");
            absent(std::fs::remove_dir_all(&aside))?;
            absent(std::fs::rename(store, &aside))?;
            std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).recursive(true).create(store)
        }
        Part::Runtime => [places.runtime_root, k.join("cni"), places.runtime_state].iter().try_for_each(|p| absent(std::fs::remove_dir_all(p))),
        Part::Checkpoints => {
            let own = CHECKPOINTS.iter().map(|name| k.join("kubelet").join(name));
            own.chain([Path::new(plugin::FOLDER).join(DEVICES)]).try_for_each(|file| absent(std::fs::remove_file(file)))
        }
        Part::Configuration => Ok(()),
    }
}

fn absent(done: std::io::Result<()>) -> std::io::Result<()> {
    done.or_else(|e| if e.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
}

fn was_rebuilt_lately(layout: &Layout, part: Part) -> bool {
    let at = std::fs::metadata(mark(layout, part)).and_then(|m| m.modified());
    // A time in the future is of a clock that was wrong: it counts as long ago.
    at.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age < PAUSE))
}

/// The file in which every object of the cluster lies.
pub(super) fn database(layout: &Layout) -> PathBuf {
    Distribution::of(layout).places(layout).database
}

fn note(layout: &Layout, part: Part) -> PathBuf {
    layout.kubernetes().join(format!("rebuild-{}", part.name()))
}

fn mark(layout: &Layout, part: Part) -> PathBuf {
    layout.kubernetes().join(format!("rebuilt-{}", part.name()))
}

fn failed(part: Part, e: &std::io::Error) -> Problem {
    Problem::new("HEA-101", format!("the {} cannot be made anew", part.name()), e.to_string(), "see that the data root is writable and has free space, then start again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(ends: &[(&'static str, u32)], recent: &[Part]) -> Facts {
        Facts { ends: ends.to_vec(), recent: recent.to_vec(), ..Facts::default() }
    }

    fn part(facts: &Facts) -> Option<Part> {
        decide(facts).map(|(part, _)| part)
    }

    #[test]
    fn what_ends_again_and_again_tells_what_is_broken_and_the_next_rung_follows() {
        assert_eq!(part(&facts(&[("containerd", 2), ("kubelet", 2)], &[])), None, "twice is no proof");
        assert_eq!(part(&facts(&[("containerd", 5), ("kubelet", 4)], &[])), Some(Part::Runtime));
        assert_eq!(part(&facts(&[("kine", 3), ("kube-apiserver", 3)], &[])), Some(Part::Datastore));
        assert_eq!(part(&facts(&[("kubelet", 3)], &[])), Some(Part::Checkpoints));
        assert_eq!(part(&facts(&[("kubelet", 3)], &[Part::Checkpoints])), Some(Part::Runtime));
        assert_eq!(part(&facts(&[("kubelet", 9)], &[Part::Checkpoints, Part::Runtime])), None, "no circle");
        assert_eq!(part(&facts(&[("kube-scheduler", 9)], &[])), Some(Part::Configuration), "it keeps nothing that could be damaged");
        assert_eq!(part(&facts(&[("kube-apiserver", 9)], &[Part::Configuration])), None, "an API server that ends is no proof against the datastore");
        assert_eq!(part(&Facts { datastore: Some("malformed".into()), ..facts(&[("containerd", 9)], &[]) }), Some(Part::Datastore));
        assert_eq!(part(&Facts { imports_failed: 3, ..Facts::default() }), Some(Part::Runtime));
        assert_eq!((part(&Facts { unready: 2, ..Facts::default() }), part(&Facts { unready: 3, ..Facts::default() })), (None, Some(Part::Runtime)));
        assert_eq!(part(&Facts { came_back: true, ..Facts::default() }), Some(Part::Configuration));
        let stuck = |recent: &[Part]| Facts { stuck: Some("ErrImagePull".into()), ..facts(&[], recent) };
        assert_eq!(part(&stuck(&[])), Some(Part::Configuration), "a fresh start imports what is missing");
        assert_eq!(part(&stuck(&[Part::Configuration])), None, "a slow machine takes its time");
        let long = |recent: &[Part]| Facts { stuck_for_long: true, ..stuck(recent) };
        assert_eq!(part(&long(&[Part::Configuration])), Some(Part::Runtime));
        assert_eq!(part(&long(&[Part::Configuration, Part::Runtime])), None);
    }

    #[test]
    fn a_damaged_datastore_is_set_aside_once() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let db = database(&layout);
        std::fs::create_dir_all(db.parent().unwrap()).unwrap();
        assert_eq!(at_start(&layout).unwrap(), Vec::<String>::new(), "nothing there is no damage");
        std::fs::write(&db, [7u8; 8192]).unwrap();
        assert_eq!(at_start(&layout).unwrap().len(), 1);
        assert!(!db.exists() && layout.kubernetes().join("kine.damaged/state.db").exists());
        assert_eq!(look(&layout, Facts::default(), true).recent, [Part::Datastore]);
        assert_eq!(at_start(&layout).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_note_is_carried_out_by_the_next_start_and_then_gone() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let kubelet = layout.kubernetes().join("kubelet");
        std::fs::create_dir_all(kubelet.join("pods")).unwrap();
        std::fs::write(kubelet.join("cpu_manager_state"), "?").unwrap();
        ask_for(&layout, Part::Checkpoints, "kubelet ended 3 times in a row").unwrap();
        assert_eq!(at_start(&layout).unwrap(), ["checkpoints made anew: kubelet ended 3 times in a row"]);
        assert!(!kubelet.join("cpu_manager_state").exists() && kubelet.join("pods").exists());
        assert!(at_start(&layout).unwrap().is_empty());
    }

    #[test]
    fn a_runtime_store_without_its_list_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let containerd = layout.kubernetes().join("containerd");
        std::fs::create_dir_all(containerd.join("io.containerd.snapshotter.v1.overlayfs/snapshots/1")).unwrap();
        std::fs::write(containerd.join("io.containerd.snapshotter.v1.overlayfs/metadata.db"), "x").unwrap();
        assert_eq!(at_start(&layout).unwrap(), ["runtime made anew: io.containerd.metadata.v1.bolt/meta.db is gone or empty"]);
        assert!(!containerd.exists());
    }
}
