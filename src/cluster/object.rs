//! Names an object of the API.

use super::error::ClusterError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What identifies an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectRef {
    /// `v1`, `apps/v1`, …
    pub api_version: String,
    /// `Deployment`, …
    pub kind: String,
    /// `None` for what belongs to the whole cluster.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// Reads the identity out of an object.
    pub fn of(object: &Value) -> Result<ObjectRef, ClusterError> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        match (text("/apiVersion"), text("/kind"), text("/metadata/name")) {
            (Some(api_version), Some(kind), Some(name)) => {
                Ok(ObjectRef { api_version, kind, namespace: text("/metadata/namespace"), name })
            }
            _ => Err(ClusterError::NoIdentity),
        }
    }

    /// The resource's name in the API's paths: the English plural, which all built-in kinds follow.
    pub fn plural(&self) -> String {
        let lower = self.kind.to_ascii_lowercase();
        match lower.as_str() {
            "endpoints" => lower,
            k if k.ends_with('y') => format!("{}ies", &k[..k.len() - 1]),
            k if k.ends_with('s') || k.ends_with('x') => format!("{k}es"),
            k => format!("{k}s"),
        }
    }
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plurals_follow_the_built_in_kinds() {
        let plural = |kind: &str| ObjectRef { api_version: "v1".into(), kind: kind.into(), namespace: None, name: "x".into() }.plural();
        let kinds = ["NetworkPolicy", "StorageClass", "Deployment", "Endpoints", "PersistentVolumeClaim", "Ingress"];
        let expected = ["networkpolicies", "storageclasses", "deployments", "endpoints", "persistentvolumeclaims", "ingresses"];
        assert_eq!(kinds.map(plural), expected);
    }

    #[test]
    fn an_object_without_a_name_is_refused() {
        assert!(matches!(ObjectRef::of(&json!({"apiVersion": "v1", "kind": "Pod"})), Err(ClusterError::NoIdentity)));
    }
}
