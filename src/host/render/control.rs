//! Configuration of the control plane: audit policy, who may ask without credentials, who may do what, the scheduler.

use crate::host::settings::Settings;
use crate::pki::cluster::group_of;

/// Who did what to which object, without bodies; reads and the components' own chatter are left out.
pub fn audit_policy() -> String {
    "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
- level: None
  users: [\"system:kube-controller-manager\", \"system:kube-scheduler\", \"system:apiserver\"]
- level: None
  userGroups: [\"system:nodes\", \"system:serviceaccounts:kube-system\"]
- level: None
  resources:
  - group: coordination.k8s.io
  - group: \"\"
    resources: [events]
- level: Metadata
"
    .into()
}

/// Only the probes answer without credentials.
pub fn authentication() -> String {
    "apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
  - path: /livez
  - path: /readyz
  - path: /healthz
"
    .into()
}

/// File of [`authorization`]: the API server reads it again when it changes.
pub const AUTHORIZATION: &str = "authorization.yaml";

/// Node authorizer, then roles; before both, hosts that were removed are turned away, by the group that was theirs alone. Roles can
/// only allow. What can refuse is a webhook: this one is asked about removed hosts only, cannot answer, and counts as a refusal then.
pub fn authorization(s: &Settings) -> String {
    let gone: Vec<String> = s.place.gone.iter().map(|id| format!("'{}'", group_of(id))).collect();
    let removed = format!(
        "- type: Webhook
  name: removed-hosts
  webhook:
    timeout: 1s
    authorizedTTL: 1s
    unauthorizedTTL: 1s
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: Deny
    connectionInfo:
      type: KubeConfigFile
      kubeConfigFile: {}
    matchConditions:
    - expression: request.groups.exists(g, g in [{}])
",
        s.etc("nobody.kubeconfig").display(),
        gone.join(", ")
    );
    format!(
        "apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
{}- type: Node
  name: node
- type: RBAC
  name: rbac
",
        if gone.is_empty() { "" } else { &removed }
    )
}

/// Where nobody answers: port 1 of loopback, and whoever listened there would have to prove the cluster's authority.
pub fn nobody(s: &Settings) -> String {
    let value = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "nobody",
        "clusters": [{"name": "nobody", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority": s.layout.pki().join("trust.crt")}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "nobody", "context": {"cluster": "nobody", "user": "nobody"}}],
    });
    serde_json::to_string_pretty(&value).expect("plain data") + "\n"
}

/// One scheduler needs no election; of several one acts.
pub fn scheduler(s: &Settings) -> String {
    format!(
        "apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  kubeconfig: {}
leaderElection:
  leaderElect: {}
",
        s.layout.pki().join("scheduler.kubeconfig").display(),
        s.place.elects()
    )
}
