//! The health of workloads, read from the pods and what should run them.

use super::watches::{Heard, drive};
use super::{Cluster, ClusterError, ObjectRef};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ListParams};
use kube::runtime::reflector::{self, Store};
use std::future::Future;
use std::sync::Arc;
use tokio::sync::watch;

/// One Deployment, StatefulSet or DaemonSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Pods that should run.
    pub wanted: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Restarts of all its containers.
    pub restarts: u32,
    /// Why a pod is not ready, in the API's words; empty when all are.
    pub reason: String,
}

impl Workload {
    /// True when all wanted pods are ready.
    pub fn is_healthy(&self) -> bool {
        self.wanted > 0 && self.ready >= self.wanted
    }
}

/// The cluster's workloads and pods as last heard: an idle node is asked for nothing.
pub struct WorkloadSource {
    pods: Store<Pod>,
    deployments: Store<Deployment>,
    stateful: Store<StatefulSet>,
    daemons: Store<DaemonSet>,
    heard: watch::Receiver<Heard>,
}

impl Cluster {
    /// The source, and what drives it: the future never ends and must be polled beside.
    pub fn watch_workloads(&self) -> (WorkloadSource, impl Future<Output = ()> + Send + use<>) {
        let (send, heard) = watch::channel(Heard::default());
        let ((pods, a), (deployments, b), (stateful, c), (daemons, d)) = (reflector::store(), reflector::store(), reflector::store(), reflector::store());
        let client = &self.client;
        let all = (
            // How a pod is made does not matter here.
            drive(a, Api::<Pod>::all(client.clone()), send.clone(), |pod| pod.spec = None),
            drive(b, Api::<Deployment>::all(client.clone()), send.clone(), |_| {}),
            drive(c, Api::<StatefulSet>::all(client.clone()), send.clone(), |_| {}),
            drive(d, Api::<DaemonSet>::all(client.clone()), send, |_| {}),
        );
        let driver = async move {
            futures::join!(all.0, all.1, all.2, all.3);
        };
        (WorkloadSource { pods, deployments, stateful, daemons, heard }, driver)
    }

    /// All of a namespace, or of all namespaces.
    pub(crate) async fn list<K>(&self, namespace: Option<&str>) -> Result<Vec<K>, ClusterError>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
        K::DynamicType: Default,
    {
        let api: Api<K> = namespace.map_or_else(|| Api::all(self.client.clone()), |n| Api::namespaced(self.client.clone(), n));
        let kind = K::kind(&K::DynamicType::default()).into_owned();
        let what = ObjectRef { api_version: "v1".into(), kind, namespace: namespace.map(Into::into), name: "*".into() };
        Ok(api.list(&ListParams::default()).await.map_err(|e| ClusterError::of(&what, e))?.items)
    }
}

impl WorkloadSource {
    /// Waits until everything was heard once.
    pub async fn ready(&self) {
        // The writers live in the driver, which never ends: there is no error.
        drop((self.pods.wait_until_ready().await, self.deployments.wait_until_ready().await, self.stateful.wait_until_ready().await, self.daemons.wait_until_ready().await));
    }

    /// What the watches said; `changed` on it waits for more.
    pub fn heard(&mut self) -> &mut watch::Receiver<Heard> {
        &mut self.heard
    }

    /// All workloads of the given namespaces, by namespace and name.
    pub fn workloads(&self, namespaces: &[&str]) -> Vec<Workload> {
        let pods = self.pods.state();
        let mut found = Vec::new();
        for (namespace, name, wanted, ready) in self.counts().into_iter().filter(|(n, ..)| namespaces.contains(&n.as_str())) {
            let own: Vec<&Pod> = pods.iter().map(Arc::as_ref).filter(|p| p.metadata.namespace.as_ref() == Some(&namespace) && belongs(p, &name)).collect();
            let restarts = own.iter().map(|p| restarts(p)).sum();
            let reason = own.iter().find_map(|p| reason(p)).unwrap_or_default();
            let reason = if ready >= wanted { String::new() } else if own.is_empty() { "no pod yet".into() } else { reason };
            found.push(Workload { namespace, name, wanted, ready, restarts, reason });
        }
        found.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        found
    }

    /// Namespace, name, wanted and ready pods of all workloads.
    fn counts(&self) -> Vec<(String, String, i32, i32)> {
        let mut all = Vec::new();
        let mut add = |head: &ObjectMeta, wanted, ready| all.push((head.namespace.clone().unwrap_or_default(), head.name.clone().unwrap_or_default(), wanted, ready));
        for d in self.deployments.state() {
            add(&d.metadata, wanted(d.spec.replicas), d.status.as_ref().and_then(|s| s.ready_replicas).unwrap_or(0));
        }
        for s in self.stateful.state() {
            add(&s.metadata, wanted(s.spec.replicas), s.status.as_ref().and_then(|s| s.ready_replicas).unwrap_or(0));
        }
        for d in self.daemons.state() {
            let (desired, ready) = d.status.as_ref().map_or((0, 0), |s| (s.desired_number_scheduled, s.number_ready));
            add(&d.metadata, desired, ready);
        }
        all
    }
}

/// Replicas default to one, as in the API.
fn wanted(replicas: Option<i32>) -> i32 {
    replicas.unwrap_or(1)
}

/// Pods carry the guide's label `app`, equal to the workload's name.
pub(crate) fn belongs(pod: &Pod, workload: &str) -> bool {
    pod.metadata.labels.as_ref().and_then(|l| l.get("app")).is_some_and(|app| app == workload)
}

fn restarts(pod: &Pod) -> u32 {
    let all = pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten());
    all.map(|c| u32::try_from(c.restart_count).unwrap_or(0)).sum()
}

/// The first thing that keeps a pod from being ready.
fn reason(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    for container in containers {
        let state = container.state.as_ref();
        if let Some(waiting) = state.and_then(|s| s.waiting.as_ref()) {
            let why = waiting.reason.clone().unwrap_or_default();
            return Some(waiting.message.as_ref().map_or(why.clone(), |m| format!("{why}: {m}")));
        }
        if let Some(ended) = state.and_then(|s| s.terminated.as_ref()).filter(|t| t.exit_code != 0) {
            return Some(format!("ended with code {}", ended.exit_code));
        }
    }
    let conditions = status.conditions.iter().flatten();
    conditions.filter(|c| c.status == "False").find_map(|c| c.message.clone().or_else(|| c.reason.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "labels": {"app": "kafka"}}, "status": status})).unwrap()
    }

    #[test]
    fn a_missing_image_is_told_as_the_reason() {
        let status = json!({"containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 2,
            "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}]});
        assert_eq!(reason(&pod(status.clone())).as_deref(), Some("ErrImagePull: not found"));
        assert_eq!(restarts(&pod(status)), 2);
    }

    #[test]
    fn a_pod_that_cannot_be_scheduled_tells_why() {
        let status = json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient memory"}]});
        assert_eq!(reason(&pod(status)).as_deref(), Some("Insufficient memory"));
    }

    #[test]
    fn a_workload_without_wanted_pods_is_not_healthy() {
        let workload = Workload { namespace: "n".into(), name: "w".into(), wanted: 0, ready: 0, restarts: 0, reason: String::new() };
        assert!(!workload.is_healthy());
    }
}
