//! Configuration of the control plane: audit policy, who may ask without credentials, the scheduler.

use crate::host::settings::Settings;

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
