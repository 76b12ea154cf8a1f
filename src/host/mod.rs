//! Role: prepare, unpack, run Kubernetes, apply, watch.
