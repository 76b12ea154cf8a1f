//! What the door of the join needs of its host.

use super::{Hosts, etcd};
use crate::config::place::{Datastore, Host};
use crate::host::settings::Settings;
use crate::host::{mesh, place};
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

    fn changed(&self) {
        self.hosts.changed.notify_one();
    }
}
