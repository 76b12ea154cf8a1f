//! The last log lines of a workload's pods.

use super::workloads::belongs;
use super::{Cluster, ClusterError, ObjectRef};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};

/// Most bytes read of one log.
const LIMIT_BYTES: i64 = 256 << 10;

impl Cluster {
    /// The last `lines` lines of the first container of each pod of `workload`.
    pub async fn workload_log(&self, namespace: &str, workload: &str, lines: usize) -> Result<Vec<String>, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let mut all = Vec::new();
        for pod in self.list::<Pod>(Some(namespace)).await?.iter().filter(|p| belongs(p, workload)) {
            let name = pod.metadata.name.clone().unwrap_or_default();
            let container = pod.spec.as_ref().and_then(|s| s.containers.first()).map(|c| c.name.clone());
            let params = LogParams { container, tail_lines: Some(lines as i64), limit_bytes: Some(LIMIT_BYTES), ..LogParams::default() };
            let what = ObjectRef { api_version: "v1".into(), kind: "Pod".into(), namespace: Some(namespace.into()), name: name.clone() };
            let text = api.logs(&name, &params).await.map_err(|e| ClusterError::of(&what, e))?;
            all.extend(text.lines().map(str::to_owned));
        }
        let skip = all.len().saturating_sub(lines);
        Ok(all.split_off(skip))
    }
}
