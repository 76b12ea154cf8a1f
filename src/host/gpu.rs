//! Keeps the host's GPUs in use: looks, judges, lets containers have those that are well, and says where it stands.
//!
//! A card counts once a computation on it went right, where this build carries the program for that. A card that goes, errs or
//! fails is taken from the kubelet at the next look; what is there again and computes is given back. It never fails: what is
//! wrong stands in its component, and the node goes on on the processor.

use super::settings::Settings;
use super::watching::{News, news};
use crate::cluster::Cluster;
use crate::device::life::Life;
use crate::device::plugin::{self, Device, Plugin, api};
use crate::device::probe::{self, Proof};
use crate::device::xid::KernelLog;
use crate::device::{Found, Gpu, Judged, RESOURCE, State, below, cdi, found};
use crate::files;
use crate::process::log;
use crate::status::Component;
use chrono::Utc;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Its name among the components and the logs.
pub const NAME: &str = "gpu";
/// Between two looks at a host with cards, and at one without.
const LOOK: Duration = Duration::from_secs(3);
const LOOK_FOR_A_FIRST: Duration = Duration::from_secs(30);
/// A computation takes at most this; the program ends itself earlier.
const COMPUTING: Duration = Duration::from_secs(30);
/// Before the next try to set labels.
const RETRY: Duration = Duration::from_secs(10);

/// How it stands.
#[derive(Clone, Debug, Default, PartialEq)]
struct Standing {
    judged: Option<Judged>,
    /// Why the kubelet does not know of the cards.
    kubelet: Option<String>,
    driver: Option<String>,
}

/// The GPUs of one host.
#[derive(Clone)]
pub struct Gpus {
    root: PathBuf,
    probe: Option<&'static [u8]>,
    standing: watch::Sender<Standing>,
}

impl Gpus {
    /// Those whose driver's files lie below `root`; `probe` is the program that computes, where this build carries it.
    pub fn new(root: &Path, probe: Option<&'static [u8]>) -> Gpus {
        Gpus { root: root.to_path_buf(), probe, standing: watch::channel(Standing::default()).0 }
    }

    /// Folder below which the driver's files lie.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// That it stands otherwise.
    pub fn news(&self) -> News {
        news(self.standing.subscribe())
    }

    /// As one of the host's components; none where there is no card.
    pub fn component(&self) -> Option<Component> {
        component(&self.standing.borrow())
    }

    /// Keeps them in use; ends by being dropped. Labels are set once the cluster is `ready`.
    pub async fn run(&self, settings: Arc<Settings>, ready: CancellationToken) {
        let (send, devices) = watch::channel(Vec::new());
        tokio::select! {
            () = self.watch(&settings, &send) => {}
            () = self.serve(devices) => {}
            () = self.label(&settings, &ready) => {}
        }
    }

    async fn watch(&self, settings: &Settings, devices: &watch::Sender<Vec<Device>>) {
        let program = probe::program(self.probe, &settings.layout.run).inspect_err(|e| note(settings, &format!("cards are not tried: {e}"))).ok();
        let mut log = KernelLog::open(&below(&self.root, "/dev/kmsg"));
        let (mut life, mut first) = (Life::new(program.is_some()), true);
        loop {
            let root = self.root.clone();
            let Ok(found) = tokio::task::spawn_blocking(move || found::read(&root)).await else { return };
            let (judged, todo) = life.look(&found, &log.news(), Instant::now());
            // At the start a card is told of when it has computed; later what is wrong is told at once.
            if todo.is_empty() || !first {
                self.publish(settings, &found, judged, devices);
            }
            if let Some(program) = program.as_ref().filter(|_| !todo.is_empty()) {
                for gpu in todo {
                    let outcome = compute(program, &found, &gpu).await;
                    note(settings, &outcome.as_ref().map_or_else(|e| format!("{} does not compute: {e}", gpu.id()), |p| format!("{} computed {} numbers rightly", gpu.id(), p.computed)));
                    life.proven(&gpu, outcome.map(drop), Instant::now());
                }
                self.publish(settings, &found, life.judge(&found), devices);
            }
            first = false;
            let known = self.standing.borrow().judged.as_ref().is_some_and(|j| j.state != State::Absent);
            tokio::time::sleep(if known { LOOK } else { LOOK_FOR_A_FIRST }).await;
        }
    }

    /// What containers can have is written before the kubelet hears of it.
    fn publish(&self, settings: &Settings, found: &Found, judged: Judged, devices: &watch::Sender<Vec<Device>>) {
        let well: Vec<&Gpu> = judged.gpus.iter().filter(|c| c.problem.is_none()).map(|c| &c.gpu).collect();
        if let Err(e) = write(&settings.layout.cdi().join(cdi::FILE), cdi::render(&self.root, found, &well)) {
            tracing::error!(error = %e, "what containers need to use a GPU cannot be written");
            return;
        }
        let list = listed(&judged);
        devices.send_if_modified(|old| {
            let changed = *old != list;
            *old = list;
            changed
        });
        let changed = self.standing.send_if_modified(|s| {
            let now = Standing { judged: Some(judged), driver: found.driver.clone(), kubelet: s.kubelet.clone() };
            let changed = *s != now;
            *s = now;
            changed
        });
        if changed {
            let sentence = self.standing.borrow().judged.as_ref().map(Judged::sentence).unwrap_or_default();
            tracing::info!(standing = sentence, "GPUs");
            note(settings, &sentence);
        }
    }

    /// The device plugin, from the first card on.
    async fn serve(&self, mut devices: watch::Receiver<Vec<Device>>) {
        if devices.wait_for(|d| !d.is_empty()).await.is_err() {
            return;
        }
        let plugin = Plugin { folder: plugin::FOLDER.into(), socket: plugin::SOCKET.into(), resource: RESOURCE.into(), devices };
        plugin.run(|trouble| self.standing.send_modify(|s| s.kubelet = trouble)).await;
    }

    /// Keeps the node's labels as the cards are.
    async fn label(&self, settings: &Settings, ready: &CancellationToken) {
        ready.cancelled().await;
        let mut standing = self.standing.subscribe();
        let mut set = None;
        loop {
            let now = standing.borrow_and_update().clone();
            let wanted = now.judged.map(|judged| labels(&judged, now.driver));
            if let Some(wanted) = wanted.filter(|w| set.as_ref() != Some(w)) {
                let done = async { Cluster::connect(&settings.kubeconfig()).await?.label_node(&settings.node, &wanted).await }.await;
                if let Err(e) = done {
                    tracing::warn!(problem = %e.problem(), "the node's GPU labels are not set");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
                set = Some(wanted);
            }
            if standing.changed().await.is_err() {
                return;
            }
        }
    }
}

async fn compute(program: &Path, found: &Found, gpu: &Gpu) -> Result<Proof, String> {
    let (program, found, gpu) = (program.to_path_buf(), found.clone(), gpu.clone());
    let work = tokio::task::spawn_blocking(move || probe::prove(&program, &found, &gpu));
    match tokio::time::timeout(COMPUTING, work).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err("the driver does not answer, and holds the program that asked".into()),
    }
}

/// Writes the file, or takes it away where there is nothing to write.
fn write(path: &Path, text: Option<String>) -> std::io::Result<()> {
    match text {
        Some(text) => files::replace_if_changed(path, text.as_bytes(), 0o644).map(drop),
        None => std::fs::remove_file(path).or_else(|e| if e.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(e) }),
    }
}

fn component(standing: &Standing) -> Option<Component> {
    let judged = standing.judged.as_ref().filter(|j| j.state != State::Absent)?;
    let kubelet = standing.kubelet.as_ref().map(|why| format!("; pods cannot have one yet: {why}")).unwrap_or_default();
    let healthy = judged.state == State::Ready && kubelet.is_empty();
    Some(Component { name: NAME.into(), place: "host".into(), healthy, detail: judged.sentence() + &kubelet, restarts: 0, since: Utc::now() })
}

/// The cards in the kubelet's words.
fn listed(judged: &Judged) -> Vec<Device> {
    let topology = |gpu: &Gpu| gpu.numa.map(|id| api::Topology { nodes: vec![api::NumaNode { id }] });
    let health = |well: bool| if well { api::HEALTHY } else { api::UNHEALTHY };
    judged.gpus.iter().map(|c| Device { id: c.id.clone(), health: health(c.problem.is_none()).into(), topology: topology(&c.gpu) }).collect()
}

/// The node's labels for these cards: `true` where pods can have one, `degraded` where one is there and cannot be used.
fn labels(judged: &Judged, driver: Option<String>) -> BTreeMap<String, Option<String>> {
    let well: Vec<&Gpu> = judged.gpus.iter().filter(|c| c.problem.is_none()).map(|c| &c.gpu).collect();
    let state = match judged.state {
        State::Absent => None,
        _ if well.is_empty() => Some("degraded".to_string()),
        _ => Some("true".to_string()),
    };
    let known = state.is_some();
    let values = [
        ("antihate.io/gpu", state),
        ("antihate.io/gpu-count", known.then(|| well.len().to_string())),
        ("antihate.io/gpu-model", judged.gpus.first().map(|c| label(&c.gpu.model)).filter(|_| known)),
        ("antihate.io/gpu-driver", driver.filter(|_| known)),
    ];
    values.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// What a label may hold.
fn label(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).take(63).collect();
    plain.trim_matches(['-', '.']).to_owned()
}

/// A line in the log of this component.
fn note(settings: &Settings, line: &str) {
    log::note(&settings.layout.log(NAME), line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::judge::Card;
    use crate::status::Problem;

    fn judged(state: State, cards: &[(&str, bool)]) -> Judged {
        let problem = || Problem::new("GPU-105", "it is gone", "it fell off the bus", "restart.");
        let card = |(id, well): &(&str, bool)| Card { id: id.to_string(), gpu: Gpu { model: "NVIDIA H100 80GB HBM3".into(), uuid: Some(id.to_string()), numa: Some(1), ..Gpu::default() }, problem: (!well).then(problem) };
        let gpus: Vec<Card> = cards.iter().map(card).collect();
        Judged { state, problems: gpus.iter().filter_map(|c| c.problem.clone()).collect(), gpus }
    }

    #[test]
    fn a_lost_card_is_told_as_degraded_and_taken_from_the_kubelet() {
        let lost = judged(State::Degraded, &[("GPU-1", false)]);
        assert_eq!(listed(&lost)[0].health, "Unhealthy");
        let told = component(&Standing { judged: Some(lost.clone()), ..Standing::default() }).unwrap();
        assert!(!told.healthy && told.detail.starts_with("degraded: CPU. GPU-105: it is gone"), "{}", told.detail);
        let labels = labels(&lost, Some("580.1".into()));
        assert_eq!(labels["antihate.io/gpu"].as_deref(), Some("degraded"));
        assert_eq!(labels["antihate.io/gpu-count"].as_deref(), Some("0"));
    }

    #[test]
    fn a_card_that_is_well_is_listed_with_its_place_and_labels_name_what_was_found() {
        let ready = judged(State::Ready, &[("GPU-1", true), ("GPU-2", true)]);
        assert_eq!(listed(&ready).iter().map(|d| (d.id.as_str(), d.health.as_str())).collect::<Vec<_>>(), [("GPU-1", "Healthy"), ("GPU-2", "Healthy")]);
        assert_eq!(listed(&ready)[0].topology.as_ref().unwrap().nodes[0].id, 1);
        let labels = labels(&ready, Some("580.1".into()));
        let values: Vec<&str> = labels.values().flatten().map(String::as_str).collect();
        assert_eq!(values, ["true", "2", "580.1", "NVIDIA-H100-80GB-HBM3"]);
        let silent = Standing { judged: Some(ready), kubelet: Some("no socket".into()), driver: None };
        assert!(!component(&silent).unwrap().healthy);
    }

    #[test]
    fn a_host_without_a_card_has_no_such_component_and_no_such_labels() {
        let absent = judged(State::Absent, &[]);
        assert!(labels(&absent, None).values().all(Option::is_none));
        assert_eq!(component(&Standing { judged: Some(absent), ..Standing::default() }), None);
        assert_eq!(component(&Standing::default()), None);
    }

    #[test]
    fn the_file_for_containers_goes_with_the_last_card() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nvidia.json");
        write(&path, Some("{}".into())).unwrap();
        write(&path, None).unwrap();
        write(&path, None).unwrap();
        assert!(!path.exists());
    }
}
