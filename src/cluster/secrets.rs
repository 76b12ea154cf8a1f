//! Secrets as they lie in the datastore.

use super::{Cluster, ClusterError, ObjectRef};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};

impl Cluster {
    /// Has the API server write every secret anew, unchanged, with the key that is first now; returns how many there are.
    pub async fn rewrite_secrets(&self) -> Result<usize, ClusterError> {
        let listed = ObjectRef { api_version: "v1".into(), kind: "Secret".into(), namespace: None, name: "*".into() };
        let all = Api::<Secret>::all(self.client.clone()).list(&ListParams::default()).await.map_err(|e| ClusterError::of(&listed, e))?.items;
        for secret in &all {
            let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
            let what = ObjectRef { api_version: "v1".into(), kind: "Secret".into(), namespace: Some(namespace.clone()), name: name.clone() };
            let api: Api<Secret> = Api::namespaced(self.client.clone(), &namespace);
            // Without a change nothing is written, unless the key that wrote it is not the first any more.
            match api.patch(&name, &PatchParams::default(), &Patch::Merge(serde_json::json!({}))).await {
                Err(kube::Error::Api(e)) if e.code == 404 => {} // deleted meanwhile
                done => drop(done.map_err(|e| ClusterError::of(&what, e))?),
            }
        }
        Ok(all.len())
    }
}
