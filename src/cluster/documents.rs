//! Small documents of ours in the datastore: one text in a ConfigMap or a Secret, changed only by whoever has read its last version.

use super::{Cluster, ClusterError, ObjectRef};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};

/// A document as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its text.
    pub text: String,
    /// The version that a change has to name.
    version: String,
}

/// The namespace of them all.
const NAMESPACE: &str = "kube-system";
/// The key below `data`.
const KEY: &str = "json";

/// Where a document lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawer {
    /// Open to everybody who may read ConfigMaps.
    ConfigMap,
    /// Encrypted at rest.
    Secret,
}

impl Drawer {
    fn object(self, name: &str) -> ObjectRef {
        let kind = if self == Drawer::Secret { "Secret" } else { "ConfigMap" };
        ObjectRef { api_version: "v1".into(), kind: kind.into(), namespace: Some(NAMESPACE.into()), name: name.into() }
    }

    fn pack(self, text: &str) -> String {
        if self == Drawer::Secret { STANDARD.encode(text) } else { text.into() }
    }

    fn unpack(self, text: &str) -> Option<String> {
        if self == Drawer::Secret { String::from_utf8(STANDARD.decode(text).ok()?).ok() } else { Some(text.into()) }
    }
}

impl Cluster {
    /// Reads a document; `None` where there is none.
    pub async fn document(&self, drawer: Drawer, name: &str) -> Result<Option<Document>, ClusterError> {
        let found = self.get(&drawer.object(name)).await?;
        Ok(found.map(|o| {
            let text = o.pointer(&format!("/data/{KEY}")).and_then(Value::as_str).and_then(|t| drawer.unpack(t)).unwrap_or_default();
            let version = o.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
            Document { text, version }
        }))
    }

    /// Writes a document over `before`, or makes it where there was none; false when somebody else was faster.
    pub async fn write_document(&self, drawer: Drawer, name: &str, before: Option<&Document>, text: &str) -> Result<bool, ClusterError> {
        let what = drawer.object(name);
        let mut value = json!({"apiVersion": what.api_version, "kind": what.kind, "metadata": {"name": name, "namespace": NAMESPACE}, "data": {KEY: drawer.pack(text)}});
        if let Some(before) = before {
            value["metadata"]["resourceVersion"] = before.version.clone().into();
        }
        let object: DynamicObject = serde_json::from_value(value).expect("an object");
        let api = self.api(&what);
        let done = match before {
            Some(_) => api.replace(name, &PostParams::default(), &object).await,
            None => api.create(&PostParams::default(), &object).await,
        };
        match done {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(e) => Err(ClusterError::of(&what, e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_a_drawer_comes_out_of_it() {
        for drawer in [Drawer::ConfigMap, Drawer::Secret] {
            assert_eq!(drawer.unpack(&drawer.pack("[1, 2]")).unwrap(), "[1, 2]");
        }
        assert_eq!(Drawer::Secret.unpack("?"), None);
    }
}
