//! What can go wrong with the API server, with code, cause and next step.

use super::object::ObjectRef;
use crate::status::Problem;
use std::path::PathBuf;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The credentials cannot be read.
    #[error("the credentials in {path} cannot be used")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// An object lacks apiVersion, kind or name.
    #[error("an object has no identity")]
    NoIdentity,
    /// The server refused.
    #[error("the API server refused {object} ({code})")]
    Refused {
        /// Which object.
        object: String,
        /// HTTP status.
        code: u16,
        /// The server's words.
        why: String,
    },
    /// The server was not reached, or its answer was not understood.
    #[error("the API server did not answer about {object}")]
    Unreachable {
        /// Which object.
        object: String,
        /// The cause.
        #[source]
        source: Box<kube::Error>,
    },
}

impl ClusterError {
    /// The error of a call about `object`.
    pub(crate) fn of(object: &ObjectRef, error: kube::Error) -> ClusterError {
        match error {
            kube::Error::Api(status) => {
                ClusterError::Refused { object: object.to_string(), code: status.code, why: status.message.clone() }
            }
            other => ClusterError::Unreachable { object: object.to_string(), source: Box::new(other) },
        }
    }

    /// True where trying again later can help: the server is away or busy, or an admission is not ready yet.
    pub fn is_transient(&self) -> bool {
        match self {
            ClusterError::Unreachable { .. } => true,
            ClusterError::Refused { code, .. } => *code == 429 || *code >= 500 || *code == 409,
            _ => false,
        }
    }

    /// As a person reads it.
    pub fn problem(&self) -> Problem {
        let what = self.to_string();
        match self {
            ClusterError::Kubeconfig { why, .. } => {
                Problem::new("KUB-211", what, why.clone(), "Run `antihate up` again: it makes missing keys anew.")
            }
            ClusterError::NoIdentity => {
                Problem::new("KUB-212", what, "This build renders an incomplete object.", "Report it with `antihate manifests`.")
            }
            ClusterError::Refused { why, .. } => {
                Problem::new("KUB-213", what, why.clone(), "Nothing to do at once: it is tried again. If it stays, send `antihate logs kube-apiserver`.")
            }
            ClusterError::Unreachable { source, .. } => {
                Problem::new("KUB-214", what, source.to_string(), "Wait: it is tried again. `antihate status` shows whether kube-apiserver runs.")
            }
        }
    }
}
