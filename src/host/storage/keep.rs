//! Looks after the volumes while the node runs: frees those whose claim is gone, and tells how full they and their disk are.

use super::encryption::{self, Facts as Encryption};
use super::reclaim::{self, Release};
use crate::cluster::Cluster;
use crate::config::Volumes;
use crate::host::settings::Settings;
use crate::host::watching::{News, news};
use crate::manifests::{self, Kept};
use crate::process::log;
use crate::status::Component;
use chrono::Utc;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;

/// Its name among the components and the logs.
pub const NAME: &str = "storage";
/// Between two looks at claims; the volumes are measured at every so manieth.
const LOOK: Duration = Duration::from_secs(15);
const MEASURE: u32 = 4;
/// Least part of the disk that should be free, percent.
const FREE: u64 = 5;

/// How full one volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Its name.
    pub name: &'static str,
    /// Bytes on the disk.
    pub used: u64,
    /// What it may hold.
    pub capacity: u64,
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The volumes.
    pub volumes: Vec<Measured>,
    /// Free and whole size of the disk, bytes.
    pub disk: (u64, u64),
    /// How data at rest stands.
    pub encryption: Encryption,
    /// What was done last about a volume whose claim was gone.
    pub last: Option<String>,
}

/// The volumes of one node.
#[derive(Clone)]
pub struct Keeper {
    standing: watch::Sender<Standing>,
    away: Arc<AtomicBool>,
}

impl Keeper {
    /// One that has not looked yet.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Keeper {
        Keeper { standing: watch::channel(Standing::default()).0, away: Arc::default() }
    }

    /// The disk that was chosen is not there: everything that was sized by it was sized by another.
    pub fn missed(&self) {
        self.away.store(true, Ordering::Relaxed);
    }

    /// The disk was missed once: the host process has to begin anew with its true size.
    pub fn was_missed(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// That it stands otherwise.
    pub fn news(&self) -> News {
        news(self.standing.subscribe())
    }

    /// As one of the host's components; none before the first look.
    pub fn component(&self) -> Option<Component> {
        component(&self.standing.borrow())
    }

    /// Looks for ever, from when the node is `ready`; ends by being dropped.
    pub async fn run(&self, settings: Arc<Settings>, sizes: Volumes, ready: CancellationToken) {
        ready.cancelled().await;
        if !settings.place.is_home() {
            return std::future::pending().await; // what is written lies on the first host
        }
        let ours = Arc::new(manifests::kept(&settings.layout, &sizes));
        let cluster = OnceCell::new();
        for look in 0u32.. {
            if look % MEASURE == 0 {
                self.measure(&settings, &ours).await;
            }
            if let Err(why) = self.reclaim(&settings, &cluster, &ours).await {
                tracing::warn!(why, "volumes whose claim is gone are not seen to; it is tried again");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn measure(&self, settings: &Settings, ours: &Arc<Vec<Kept>>) {
        let (ours, folder) = (ours.clone(), settings.layout.volumes());
        let work = tokio::task::spawn_blocking(move || {
            let volumes = ours.iter().map(|k| Measured { name: k.name, used: reclaim::used(&k.path), capacity: k.capacity }).collect();
            let disk = (fs2::available_space(&folder).unwrap_or(0), fs2::total_space(&folder).unwrap_or(0));
            (volumes, disk, encryption::read(Path::new("/"), &folder))
        });
        if let Ok((volumes, disk, encryption)) = work.await {
            self.standing.send_modify(|s| (s.volumes, s.disk, s.encryption) = (volumes, disk, encryption));
        }
    }

    async fn reclaim(&self, settings: &Settings, cluster: &OnceCell<Cluster>, ours: &Arc<Vec<Kept>>) -> Result<(), String> {
        let connect = async || Cluster::connect(&settings.layout.admin_kubeconfig()).await.map_err(|e| e.to_string());
        let cluster = cluster.get_or_try_init(connect).await?;
        let volumes = cluster.volumes().await.map_err(|e| e.to_string())?;
        let released = reclaim::decide(&volumes, ours);
        for release in &released {
            let said = carry_out(release).await?;
            cluster.free_volume(release.kept.name).await.map_err(|e| e.to_string())?;
            tracing::info!(said, "a volume was free");
            note(settings, &said);
            self.standing.send_modify(|s| s.last = Some(said));
        }
        if !released.is_empty() {
            self.measure(settings, ours).await;
        }
        Ok(())
    }
}

/// Empties where that is due; says what came back and what remains.
async fn carry_out(release: &Release<'_>) -> Result<String, String> {
    let (name, path, emptied) = (release.kept.name, release.kept.path.clone(), release.emptied);
    let work = tokio::task::spawn_blocking(move || {
        if !emptied {
            return Ok(format!("{name} was released; its {} of posts were kept and can be claimed again", size(reclaim::used(&path))));
        }
        reclaim::empty(&path).map(|back| format!("{name} was released and emptied; {} came back", size(back))).map_err(|e| format!("{}: {e}", path.display()))
    });
    work.await.unwrap_or_else(|e| Err(e.to_string()))
}

fn component(standing: &Standing) -> Option<Component> {
    let (free, total) = standing.disk;
    if standing.volumes.is_empty() || total == 0 {
        return None;
    }
    let full: Vec<&str> = standing.volumes.iter().filter(|v| v.used > v.capacity).map(|v| v.name).collect();
    let scarce = free < total / 100 * FREE;
    let each: Vec<String> = standing.volumes.iter().map(|v| format!("{} {} of {}", v.name.trim_start_matches("antihate-"), size(v.used), size(v.capacity))).collect();
    let mut detail = format!("{}; disk {} free of {}; {}", each.join(", "), size(free), size(total), encryption::sentence(&standing.encryption));
    if scarce {
        detail = format!("STG-104: the disk is almost full. {detail}");
    } else if !full.is_empty() {
        detail = format!("STG-105: {} took more than it may. {detail}", full.join(", "));
    }
    detail.extend(standing.last.iter().flat_map(|l| ["; ", l]));
    Some(Component { name: NAME.into(), place: "host".into(), healthy: !scarce && full.is_empty(), detail, restarts: 0, since: Utc::now() })
}

/// Bytes for a person.
fn size(bytes: u64) -> String {
    match bytes {
        b if b >= 1 << 30 => format!("{:.1} GiB", b as f64 / (1u64 << 30) as f64),
        b if b >= 1 << 20 => format!("{} MiB", b >> 20),
        b => format!("{} KiB", b.div_ceil(1024)),
    }
}

/// A line in the log of this component.
fn note(settings: &Settings, line: &str) {
    log::note(&settings.layout.log(NAME), line);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(used: u64, free: u64) -> Standing {
        let volumes = vec![Measured { name: "antihate-postgres", used, capacity: 4 << 30 }];
        Standing { volumes, disk: (free, 100 << 30), ..Standing::default() }
    }

    #[test]
    fn a_volume_over_its_capacity_and_a_full_disk_are_told_of() {
        let well = component(&standing(1 << 30, 50 << 30)).unwrap();
        assert!(well.healthy && well.detail.starts_with("postgres 1.0 GiB of 4.0 GiB; disk 50.0 GiB free of 100.0 GiB; not encrypted"), "{}", well.detail);
        let over = component(&standing(5 << 30, 50 << 30)).unwrap();
        assert!(!over.healthy && over.detail.starts_with("STG-105: antihate-postgres"), "{}", over.detail);
        let scarce = component(&standing(1 << 20, 4 << 30)).unwrap();
        assert!(!scarce.healthy && scarce.detail.starts_with("STG-104"), "{}", scarce.detail);
        assert_eq!(component(&Standing::default()), None);
    }
}
