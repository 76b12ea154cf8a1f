//! Service accounts, and the rights of the few that have any.

use super::common::{ANALYZERS, COORDINATION, MONITORING, OBSERVERS, STORAGE, SYSTEM, object};
use serde_json::{Value, json};

const ACCOUNTS: [(&str, &str); 7] = [
    ("kube-system", "coredns"),
    (SYSTEM, "kafka-sa"),
    (MONITORING, "prometheus-sa"),
    (OBSERVERS, "observer-sa"),
    (ANALYZERS, "analyzer-sa"),
    (STORAGE, "postgres-sa"),
    (COORDINATION, "sample-sa"),
];

/// Accounts, the guide's role of the observers, and what cluster DNS reads.
pub fn objects() -> Vec<Value> {
    let mut all: Vec<Value> =
        ACCOUNTS.iter().map(|(ns, name)| object("v1", "ServiceAccount", Some(ns), name, &[], json!({"automountServiceAccountToken": false}))).collect();
    all.extend(observer_role());
    all.extend(dns_role());
    all.extend(people());
    all.extend(hosts());
    all.extend(flannel());
    all
}

/// Groups of people, as their kubeconfigs name them.
pub mod groups {
    /// May do everything.
    pub const OWNER: &str = "antihate:owner";
    /// May look at everything but secrets and posts, restart workloads and end pods.
    pub const OPERATOR: &str = "antihate:operator";
    /// May look at everything but secrets and posts.
    pub const VIEWER: &str = "antihate:viewer";
}

/// What people may do. Kubernetes' own `view` shows neither secrets nor what they unlock, and enters no pod: posts stay out of reach.
fn people() -> Vec<Value> {
    let rules = json!([
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]},
        {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
    ]);
    vec![
        role(None, "antihate:operator", &rules),
        binding(None, "antihate:owner", &group(groups::OWNER), "cluster-admin"),
        binding(None, "antihate:operator", &group(groups::OPERATOR), "antihate:operator"),
        binding(None, "antihate:operator-view", &group(groups::OPERATOR), "view"),
        binding(None, "antihate:viewer", &group(groups::VIEWER), "view"),
    ]
}

const RBAC: &str = "rbac.authorization.k8s.io";

/// A role; in the whole cluster where no namespace is named.
fn role(namespace: Option<&str>, name: &str, rules: &Value) -> Value {
    let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
    object("rbac.authorization.k8s.io/v1", kind, namespace, name, &[], json!({ "rules": rules }))
}

/// Gives a role of the same reach to one subject.
fn binding(namespace: Option<&str>, name: &str, subject: &Value, role: &str) -> Value {
    let (kind, of) = if namespace.is_some() { ("RoleBinding", "Role") } else { ("ClusterRoleBinding", "ClusterRole") };
    object("rbac.authorization.k8s.io/v1", kind, namespace, name, &[], json!({"subjects": [subject], "roleRef": {"apiGroup": RBAC, "kind": of, "name": role}}))
}

fn group(name: &str) -> Value {
    json!({"kind": "Group", "apiGroup": RBAC, "name": name})
}

fn account(namespace: &str, name: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": name, "namespace": namespace})
}

/// What the host processes of joined hosts may do: look at what network policies, the ways between hosts and their own health depend on.
fn hosts() -> Vec<Value> {
    let rules = json!([
        {"apiGroups": [""], "resources": ["pods", "namespaces", "nodes"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["get", "list", "watch"]},
    ]);
    let list = json!([{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["antihate-hosts", "antihate-keys"], "verbs": ["get"]}]);
    let (name, hosts) = ("antihate:hosts", group("antihate:hosts"));
    let system = Some("kube-system");
    vec![role(None, name, &rules), binding(None, name, &hosts, name), role(system, name, &list), binding(system, name, &hosts, name)]
}

/// What flannel may do, where hosts are joined without encryption: see the nodes, and say in its own how that host is reached. Kubernetes'
/// roles know no "own" for it; the policy does.
fn flannel() -> Vec<Value> {
    let name = "antihate:flannel";
    let rules = json!([
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]},
    ]);
    let binding = json!({
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": name}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
    });
    let own = json!({"spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["nodes/status"], "scope": "Cluster"}]},
        "matchConditions": [{"name": "flannel", "expression": format!("'{name}' in request.userInfo.groups")}],
        "validations": [{"expression": format!("request.userInfo.username == '{name}:' + object.metadata.name"), "message": "flannel speaks for its own host alone"}],
    }});
    let bound = json!({"spec": {"policyName": "antihate-flannel", "validationActions": ["Deny"]}});
    let (rbac, admission) = ("rbac.authorization.k8s.io/v1", "admissionregistration.k8s.io/v1");
    vec![
        object(rbac, "ClusterRole", None, name, &[], json!({ "rules": rules })),
        object(rbac, "ClusterRoleBinding", None, name, &[], binding),
        object(admission, "ValidatingAdmissionPolicy", None, "antihate-flannel", &[], own),
        object(admission, "ValidatingAdmissionPolicyBinding", None, "antihate-flannel", &[], bound),
    ]
}

/// As the guide has it. The observers' pods carry no token yet, so nothing uses it.
fn observer_role() -> [Value; 2] {
    let rules = json!([
        {"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    ]);
    let at = Some(OBSERVERS);
    [role(at, "observer-role", &rules), binding(at, "observer-rolebinding", &account(OBSERVERS, "observer-sa"), "observer-role")]
}

fn dns_role() -> [Value; 2] {
    let rules = json!([
        {"apiGroups": [""], "resources": ["services", "namespaces", "pods"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]);
    let name = "antihate:coredns";
    [role(None, name, &rules), binding(None, name, &account("kube-system", "coredns"), name)]
}
