//! Role: prepare, unpack, run Kubernetes, apply, watch.

pub mod check;
