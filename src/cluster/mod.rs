//! The Kubernetes API client: connect, server-side apply, wait, prune. Sole home of kube.
