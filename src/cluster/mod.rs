//! The Kubernetes API client: connect, server-side apply, prune by inventory, watch over workloads and policies, read logs. Sole home of kube.
//!
//! Objects come and go as JSON values: what is wanted is decided elsewhere. Only the watches retry by themselves, and `patience` for
//! whoever asks for it; nothing else does, and nothing else waits.

pub mod documents;
pub mod error;
pub mod inventory;
pub mod logs;
pub mod marks;
pub mod nodes;
pub mod object;
pub mod patience;
pub mod policies;
mod secrets;
#[cfg(test)]
pub mod test_server;
pub mod volumes;
mod watches;
pub mod workloads;

pub use error::ClusterError;
pub use marks::{Mark, Marks};
pub use object::ObjectRef;
pub use policies::PolicySource;
pub use watches::Heard;
pub use workloads::WorkloadSource;

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PropagationPolicy};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// The field manager under which everything of ours is applied.
pub const FIELD_MANAGER: &str = "antihate";

/// A connection to one API server.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: kube::Client,
}

/// What an apply did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The object was made or differed.
    Changed,
    /// The server held it already.
    Unchanged,
}

impl Cluster {
    /// Connects with the credentials of a kubeconfig file; sends nothing yet.
    pub async fn connect(kubeconfig: &Path) -> Result<Cluster, ClusterError> {
        drop(rustls::crypto::ring::default_provider().install_default()); // kept if one is installed already
        let bad = |e: String| ClusterError::Kubeconfig { path: kubeconfig.into(), why: e };
        let file = Kubeconfig::read_from(kubeconfig).map_err(|e| bad(e.to_string()))?;
        let mut config =
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(|e| bad(e.to_string()))?;
        config.connect_timeout = Some(Duration::from_secs(5));
        config.read_timeout = Some(Duration::from_secs(30));
        let client = kube::Client::try_from(config).map_err(|e| bad(e.to_string()))?;
        Ok(Cluster { client })
    }

    /// Whether the API server answers.
    pub async fn answers(&self) -> Result<(), ClusterError> {
        let what = ObjectRef { api_version: "v1".into(), kind: "version".into(), namespace: None, name: "of the server".into() };
        self.client.apiserver_version().await.map(drop).map_err(|e| ClusterError::of(&what, e))
    }

    /// Server-side apply; our fields win over those of others. Also tells by what the object is known unchanged later.
    pub async fn apply(&self, wanted: &Value) -> Result<(Applied, Mark), ClusterError> {
        let object = ObjectRef::of(wanted)?;
        let api = self.api(&object);
        let before = self.version_of(&object).await?;
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let stored = api.patch(&object.name, &params, &Patch::Apply(wanted)).await.map_err(|e| ClusterError::of(&object, e))?;
        let same = before.is_some() && before == stored.metadata.resource_version;
        Ok((if same { Applied::Unchanged } else { Applied::Changed }, Mark::of(&stored.metadata)))
    }

    /// Reads an object; `None` where there is none.
    pub async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, ClusterError> {
        let found = self.api(object).get_opt(&object.name).await.map_err(|e| ClusterError::of(object, e))?;
        Ok(found.map(|o| serde_json::to_value(o).expect("an object of the API is JSON")))
    }

    /// Deletes an object and what it owns; one that is gone already is fine.
    pub async fn delete(&self, object: &ObjectRef) -> Result<(), ClusterError> {
        let params = DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
        match self.api(object).delete(&object.name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(e) => Err(ClusterError::of(object, e)),
        }
    }

    async fn version_of(&self, object: &ObjectRef) -> Result<Option<String>, ClusterError> {
        let found = self.api(object).get_metadata_opt(&object.name).await.map_err(|e| ClusterError::of(object, e))?;
        Ok(found.and_then(|m| m.metadata.resource_version))
    }

    fn api(&self, object: &ObjectRef) -> Api<DynamicObject> {
        let (group, version) = object.api_version.rsplit_once('/').unwrap_or(("", &object.api_version));
        let resource = ApiResource {
            group: group.into(),
            version: version.into(),
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            plural: object.plural(),
        };
        match &object.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }
}
