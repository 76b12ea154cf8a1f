//! Builders that several objects share: metadata, services, restricted containers, probes.

use crate::config::Share;
use crate::config::place::{Pool, TAINT};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Label on everything that this node applies.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "antihate");

/// Namespaces of the guide.
pub const SYSTEM: &str = "antihate-system";
pub const MONITORING: &str = "antihate-monitoring";
pub const SECURITY: &str = "antihate-security";
pub const OBSERVERS: &str = "antihate-observers";
pub const ANALYZERS: &str = "antihate-analyzers";
pub const STORAGE: &str = "antihate-storage";
pub const COORDINATION: &str = "antihate-coordination";

/// An object with its head; `fields` are the other top-level fields.
pub fn object(api: &str, kind: &str, namespace: Option<&str>, name: &str, labels: &[(&str, &str)], fields: Value) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".into(), name.into());
    if let Some(namespace) = namespace {
        metadata.insert("namespace".into(), namespace.into());
    }
    let all: Map<String, Value> = labels.iter().chain([&MANAGED_BY]).map(|(k, v)| ((*k).to_string(), json!(v))).collect();
    metadata.insert("labels".into(), all.into());
    let mut whole = Map::new();
    whole.insert("apiVersion".into(), api.into());
    whole.insert("kind".into(), kind.into());
    whole.insert("metadata".into(), metadata.into());
    if let Value::Object(fields) = fields {
        whole.extend(fields);
    }
    whole.into()
}

/// A config map.
pub fn config_map(namespace: &str, name: &str, data: Value) -> Value {
    object("v1", "ConfigMap", Some(namespace), name, &[], json!({ "data": data }))
}

/// A service for the pods labelled `app: NAME`, on ports of the same number.
pub fn service(namespace: &str, name: &str, ip: Option<&str>, ports: &[(&str, u16)]) -> Value {
    let ports: Vec<Value> = ports.iter().map(|(n, p)| json!({"name": n, "port": p, "protocol": "TCP", "targetPort": p})).collect();
    let mut spec = json!({"type": "ClusterIP", "selector": {"app": name}, "ports": ports});
    if let Some(ip) = ip {
        spec["clusterIP"] = ip.into();
    }
    object("v1", "Service", Some(namespace), name, &[("app", name)], json!({ "spec": spec }))
}

/// One workload: a single container under Pod Security `restricted`, with a writable /tmp and nothing else writable.
pub struct Workload<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub component: &'a str,
    pub image: &'a str,
    pub args: Vec<String>,
    pub account: &'a str,
    /// Number of the user and group in the image.
    pub user: u32,
    pub share: Share,
    pub env: Vec<Value>,
    pub ports: Vec<(&'a str, u16)>,
    /// Startup, readiness and liveness ask this.
    pub probe: Value,
    /// Readiness, where it is another question.
    pub ready: Option<Value>,
    /// Name, source and mount of each volume.
    pub volumes: Vec<(&'a str, Value, Value)>,
    /// What the pods depend on without seeing it change, such as a config map: a change starts them anew.
    pub depends_on: Vec<&'a Value>,
    /// Seconds for an orderly end.
    pub grace: u32,
    /// Whether the pods need the cluster's API.
    pub api: bool,
}

/// An environment variable with a plain value.
pub fn env(name: &str, value: impl std::fmt::Display) -> Value {
    json!({"name": name, "value": value.to_string()})
}

/// An environment variable from a secret's key.
pub fn env_secret(name: &str, secret: &str, key: &str) -> Value {
    json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
}

/// Asks over HTTP.
pub fn http(path: &str, port: u16) -> Value {
    json!({"httpGet": {"path": path, "port": port}})
}

/// Runs a program in the container.
pub fn exec(command: &[&str]) -> Value {
    json!({"exec": {"command": command}})
}

/// Opens a connection.
pub fn tcp(port: u16) -> Value {
    json!({"tcpSocket": {"port": port}})
}

fn probe(question: &Value, period: u32, failures: u32) -> Value {
    let mut probe = question.clone();
    probe["periodSeconds"] = period.into();
    probe["failureThreshold"] = failures.into();
    probe["timeoutSeconds"] = 5.into();
    probe
}

/// The guide's node pool for what runs in a namespace.
fn pool(namespace: &str) -> Pool {
    match namespace {
        STORAGE => Pool::Database,
        ANALYZERS => Pool::Analysis,
        _ => Pool::General,
    }
}

/// Databases and analyzers may run on hosts that are kept for them.
fn tolerations(pool: Pool) -> Vec<Value> {
    match pool {
        Pool::General => vec![],
        own => vec![json!({"key": TAINT, "operator": "Equal", "value": own.as_str(), "effect": "NoSchedule"})],
    }
}

impl Workload<'_> {
    fn container(&self) -> Value {
        let s = self.share;
        let ports: Vec<Value> = self.ports.iter().map(|(n, p)| json!({"name": n, "containerPort": p, "protocol": "TCP"})).collect();
        let mut mounts = vec![json!({"name": "tmp", "mountPath": "/tmp"})];
        for (name, _, mount) in &self.volumes {
            let mut mount = mount.clone();
            mount["name"] = (*name).into();
            mounts.push(mount);
        }
        // A program in the container costs a runc and its children each time: half as often, with the same minute of patience.
        let life = if self.probe.get("exec").is_some() { (20, 3) } else { (10, 6) };
        json!({
            "name": self.name,
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "args": self.args,
            "env": self.env,
            "ports": ports,
            "resources": {
                "requests": {"cpu": format!("{}m", s.cpu_request), "memory": format!("{}Mi", s.memory_request)},
                "limits": {"cpu": format!("{}m", s.cpu_limit), "memory": format!("{}Mi", s.memory_limit)},
            },
            // Asked every second until the first answer, so that a start is seen at once; then with the guide's periods.
            "startupProbe": probe(&self.probe, 1, 300),
            "readinessProbe": probe(self.ready.as_ref().unwrap_or(&self.probe), 5, 2),
            "livenessProbe": probe(&self.probe, life.0, life.1),
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": mounts,
        })
    }

    fn template(&self) -> Value {
        let mut volumes = vec![json!({"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}})];
        for (name, source, _) in &self.volumes {
            if !source.is_null() {
                let mut volume = source.clone();
                volume["name"] = (*name).into();
                volumes.push(volume);
            }
        }
        let pool = pool(self.namespace);
        let mut hash = Sha256::new();
        self.depends_on.iter().for_each(|v| hash.update(v.to_string()));
        json!({
            "metadata": {
                "labels": {"app": self.name, "component": self.component, MANAGED_BY.0: MANAGED_BY.1},
                "annotations": {"antihate.local/depends-on": &hex::encode(hash.finalize())[..16]},
            },
            "spec": {
                "serviceAccountName": self.account,
                "automountServiceAccountToken": self.api,
                "enableServiceLinks": false,
                "nodeSelector": {pool.label(): "true"},
                "tolerations": tolerations(pool),
                "terminationGracePeriodSeconds": self.grace,
                "securityContext": {
                    "runAsNonRoot": true,
                    "runAsUser": self.user,
                    "runAsGroup": self.user,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [self.container()],
                "volumes": volumes,
            },
        })
    }

    fn labels(&self) -> [(&str, &str); 2] {
        [("app", self.name), ("component", self.component)]
    }

    /// As a Deployment of one replica. The old pod ends before the new one starts: a small host has no room for both.
    pub fn deployment(&self) -> Value {
        let spec = json!({
            "replicas": 1,
            "revisionHistoryLimit": 2,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": self.name}},
            "template": self.template(),
        });
        object("apps/v1", "Deployment", Some(self.namespace), self.name, &self.labels(), json!({ "spec": spec }))
    }

    /// As a StatefulSet of one replica whose volume `data` is claimed by template.
    pub fn stateful_set(&self, headless: &str, storage: &str) -> Value {
        let claim = json!({
            "metadata": {"name": "data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": super::volumes::CLASS,
                "resources": {"requests": {"storage": storage}},
            },
        });
        let spec = json!({
            "serviceName": headless,
            "replicas": 1,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": {"app": self.name}},
            "template": self.template(),
            "volumeClaimTemplates": [claim],
        });
        object("apps/v1", "StatefulSet", Some(self.namespace), self.name, &self.labels(), json!({ "spec": spec }))
    }
}

/// The headless service that a StatefulSet needs.
pub fn headless(namespace: &str, app: &str, ports: &[(&str, u16)]) -> Value {
    let mut service = service(namespace, app, Some("None"), ports);
    service["metadata"]["name"] = format!("{app}-headless").into();
    service["spec"]["publishNotReadyAddresses"] = true.into();
    service
}
