//! What the door of the join needs of its host.

use super::{Hosts, etcd};
use crate::config::place::{Datastore, Host};
use crate::host::render::etcd::METRICS_PORT;
use crate::host::settings::Settings;
use crate::host::{mesh, place, probe};
use crate::join::door::{Keeper, WAIT};
use crate::status::Problem;
use std::sync::Arc;

/// A control-plane host.
pub struct HostKeeper {
    /// The host.
    pub settings: Arc<Settings>,
    /// Its view of the others.
    pub hosts: Hosts,
}

/// The problem that passes by itself.
pub fn wait(why: impl Into<String>) -> Problem {
    Problem::new(WAIT, "the cluster makes itself ready for another control plane", why, "Wait: it is asked again by itself.")
}

/// This host, as the others are to know it.
pub fn own(settings: &Settings) -> Result<Host, Problem> {
    let mesh_key = mesh::public_key(&settings.layout.pki())?;
    let place = &settings.place;
    Ok(Host { name: settings.node.clone(), index: place.index, address: settings.node_ip, pools: place.pools.clone(), control: place.control, mesh_key, version: env!("CARGO_PKG_VERSION").into() })
}

#[async_trait::async_trait]
impl Keeper for HostKeeper {
    fn own(&self) -> Result<Host, Problem> {
        own(&self.settings)
    }

    async fn admit_control(&self, host: &Host) -> Result<String, Problem> {
        let mut now = place::load(&self.settings.layout)?;
        if now.datastore == Datastore::Kine {
            now.datastore = Datastore::Moving;
            place::save(&self.settings.layout, &now)?;
            self.hosts.changed.notify_one();
        }
        if now.datastore == Datastore::Moving || self.settings.place.datastore != Datastore::Etcd {
            return Err(wait("the cluster's objects move from SQLite to etcd"));
        }
        let (settings, host) = (self.settings.clone(), host.clone());
        let added = tokio::task::spawn_blocking(move || etcd::add(&settings.layout, &host)).await;
        added.unwrap_or_else(|e| Err(Problem::new("ETC-103", "adding a member broke off", e.to_string(), "Try again.")))
    }

    async fn member_anew(&self, host: &Host) -> Result<String, Problem> {
        if self.settings.place.datastore != Datastore::Etcd {
            return Err(wait("this control plane does not run on etcd yet"));
        }
        let figures = probe::plain(METRICS_PORT, "/metrics").await.map_err(|e| etcd::too_few(format!("the member of {}: {e}", self.settings.node)))?;
        let (settings, host) = (self.settings.clone(), host.clone());
        let done = tokio::task::spawn_blocking(move || {
            let listed = etcd::members(&settings.layout).map_err(|p| etcd::too_few(p.cause))?;
            let own = listed.iter().find(|m| m.name == settings.node).map(|m| m.id);
            etcd::anew(&settings.layout, &host, &etcd::heard(&String::from_utf8_lossy(&figures), own))
        });
        done.await.unwrap_or_else(|e| Err(Problem::new("ETC-103", "adding a member broke off", e.to_string(), "Try again.")))
    }

    fn changed(&self) {
        self.hosts.changed.notify_one();
    }
}
