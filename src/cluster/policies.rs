//! Watches what network policies are decided on: pods, namespaces and policies of the whole cluster.
//!
//! Three watches have no order among each other: a pod can be seen before a policy that is older. [`PolicySource::is_current`]
//! asks the API server itself, so that nobody has to rely on luck.

use super::watches::{Heard, drive};
use super::{Cluster, ClusterError, ObjectRef};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, ListParams};
use kube::runtime::reflector::{self, Store};
use kube::{Resource, ResourceExt};
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::watch;

/// The cluster's pods, namespaces and policies as last heard.
pub struct PolicySource {
    cluster: Cluster,
    pods: Store<Pod>,
    namespaces: Store<Namespace>,
    policies: Store<NetworkPolicy>,
    heard: watch::Receiver<Heard>,
}

impl Cluster {
    /// The source, and what drives it: the future never ends and must be polled beside.
    pub fn watch_policies(&self) -> (PolicySource, impl Future<Output = ()> + Send + use<>) {
        let (send, heard) = watch::channel(Heard::default());
        let ((pods, a), (namespaces, b), (policies, c)) = (reflector::store(), reflector::store(), reflector::store());
        let client = &self.client;
        let all = (
            drive(a, Api::<Pod>::all(client.clone()), send.clone(), |_| {}),
            drive(b, Api::<Namespace>::all(client.clone()), send.clone(), |_| {}),
            drive(c, Api::<NetworkPolicy>::all(client.clone()), send, |_| {}),
        );
        let driver = async move {
            futures::join!(all.0, all.1, all.2);
        };
        (PolicySource { cluster: self.clone(), pods, namespaces, policies, heard }, driver)
    }
}

impl PolicySource {
    /// Waits until everything was heard once.
    pub async fn ready(&self) {
        // The writers live in the driver, which never ends: there is no error.
        drop((self.pods.wait_until_ready().await, self.namespaces.wait_until_ready().await, self.policies.wait_until_ready().await));
    }

    /// What the watches said; `changed` on it waits for more.
    pub fn heard(&mut self) -> &mut watch::Receiver<Heard> {
        &mut self.heard
    }

    /// All pods.
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        self.pods.state()
    }

    /// All namespaces.
    pub fn namespaces(&self) -> Vec<Arc<Namespace>> {
        self.namespaces.state()
    }

    /// All policies.
    pub fn policies(&self) -> Vec<Arc<NetworkPolicy>> {
        self.policies.state()
    }

    /// Asks the API server: true when every namespace and policy that exists now has been heard of, in this version or a later one.
    pub async fn is_current(&self) -> Result<bool, ClusterError> {
        Ok(caught_up(&self.cluster, &self.namespaces).await? && caught_up(&self.cluster, &self.policies).await?)
    }
}

async fn caught_up<K>(cluster: &Cluster, store: &Store<K>) -> Result<bool, ClusterError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + serde::de::DeserializeOwned + 'static,
{
    let kind = K::kind(&()).into_owned();
    let what = ObjectRef { api_version: K::api_version(&()).into_owned(), kind, namespace: None, name: "*".into() };
    // Without a version in the question the answer is read from the datastore, not from a cache.
    let listed = Api::<K>::all(cluster.client.clone()).list_metadata(&ListParams::default()).await.map_err(|e| ClusterError::of(&what, e))?;
    let heard = |namespace: Option<&str>, name: &str| {
        let key = reflector::ObjectRef::<K>::new(name);
        store.get(&namespace.iter().fold(key, |key, ns| key.within(ns))).and_then(|o| o.resource_version())
    };
    let known = |o: &kube::core::PartialObjectMeta<K>| {
        let version = heard(o.metadata.namespace.as_deref(), o.metadata.name.as_deref().unwrap_or_default());
        is_as_new(version.as_deref(), o.metadata.resource_version.as_deref())
    };
    Ok(listed.items.iter().all(known))
}

/// Versions are numbers that grow; what is no number must be the same.
fn is_as_new(heard: Option<&str>, listed: Option<&str>) -> bool {
    let number = |v: Option<&str>| v.and_then(|v| v.parse::<u64>().ok());
    match (number(heard), number(listed)) {
        (Some(heard), Some(listed)) => heard >= listed,
        _ => heard == listed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_was_not_heard_of_is_behind() {
        assert!(is_as_new(Some("10"), Some("9")) && is_as_new(Some("9"), Some("9")));
        assert!(!is_as_new(Some("9"), Some("10")) && !is_as_new(None, Some("9")));
    }
}
