//! The local-node stack as functions from the valid configuration to ordered Kubernetes objects.
