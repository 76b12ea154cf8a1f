//! The cluster's nodes, as an operator asks for them.

use super::{Cluster, ClusterError, ObjectRef};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A node as it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSeen {
    /// Its name.
    pub name: String,
    /// Its internal address, once its kubelet has told it.
    pub address: Option<Ipv4Addr>,
    /// Its kubelet reports that pods can run.
    pub ready: bool,
    /// New pods may come.
    pub schedulable: bool,
    /// Version of its kubelet.
    pub version: String,
    /// What its host reports of its keys, see [`Cluster::report_keys`].
    pub keys: Option<String>,
    /// Addresses of its pods are written down.
    pub ranged: bool,
}

/// Under it a host reports what keys it holds.
const KEYS: &str = "antihate.io/keys";

fn seen(node: &Node) -> NodeSeen {
    let status = node.status.clone().unwrap_or_default();
    let address = status.addresses.iter().flatten().filter(|a| a.type_ == "InternalIP").find_map(|a| a.address.parse().ok());
    let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
    let schedulable = !node.spec.as_ref().and_then(|s| s.unschedulable).unwrap_or(false);
    let ranged = node.spec.as_ref().is_some_and(|s| s.pod_cidr.is_some());
    NodeSeen { name: node.name_any(), address, ready, schedulable, ranged, version: status.node_info.map(|i| i.kubelet_version).unwrap_or_default(), keys: node.annotations().get(KEYS).cloned() }
}

fn object(name: &str) -> ObjectRef {
    ObjectRef { api_version: "v1".into(), kind: "Node".into(), namespace: None, name: name.into() }
}

impl Cluster {
    /// All nodes.
    pub async fn nodes(&self) -> Result<Vec<NodeSeen>, ClusterError> {
        let all = Api::<Node>::all(self.client.clone()).list(&ListParams::default()).await.map_err(|e| ClusterError::of(&object("*"), e))?;
        Ok(all.items.iter().map(seen).collect())
    }

    /// One node; `None` where there is none.
    pub async fn node(&self, name: &str) -> Result<Option<NodeSeen>, ClusterError> {
        let found = Api::<Node>::all(self.client.clone()).get_opt(name).await.map_err(|e| ClusterError::of(&object(name), e))?;
        Ok(found.as_ref().map(seen))
    }

    /// Removes a node from the cluster; one that is gone already is fine.
    pub async fn delete_node(&self, name: &str) -> Result<(), ClusterError> {
        self.delete(&object(name)).await
    }

    /// Writes onto a node what its host reports of its keys. A kubelet may do it for its own node and for no other.
    pub async fn report_keys(&self, name: &str, report: &str) -> Result<(), ClusterError> {
        let change = Patch::Merge(serde_json::json!({"metadata": {"annotations": {KEYS: report}}}));
        self.api(&object(name)).patch(name, &PatchParams::default(), &change).await.map(drop).map_err(|e| ClusterError::of(&object(name), e))
    }

    /// Writes down the addresses of a node's pods, which is done once: the API server lets nobody change them.
    pub async fn range_node(&self, name: &str, ranges: &[String]) -> Result<(), ClusterError> {
        let change = Patch::Merge(serde_json::json!({"spec": {"podCIDR": ranges.first(), "podCIDRs": ranges}}));
        self.api(&object(name)).patch(name, &PatchParams::default(), &change).await.map(drop).map_err(|e| ClusterError::of(&object(name), e))
    }

    /// Sets labels of a node; those without a value are taken off. Others are left alone.
    pub async fn label_node(&self, name: &str, labels: &BTreeMap<String, Option<String>>) -> Result<(), ClusterError> {
        let change = Patch::Merge(serde_json::json!({"metadata": {"labels": labels}}));
        self.api(&object(name)).patch(name, &PatchParams::default(), &change).await.map(drop).map_err(|e| ClusterError::of(&object(name), e))
    }
}
