//! GPUs of this host: what is there, whether it can be used, how containers get it, and the kubelet's device plugin. Sole home of tonic and prost.
//!
//! `found` reads (from a root that may be a stand-in's), `judge` decides, `life` remembers, `cdi` renders; `xid` reads the kernel's log, `probe` runs
//! a kernel on a card, `plugin` speaks to the kubelet. Nothing here loads a library of the driver: a static program cannot.

pub mod cdi;
pub mod found;
pub mod judge;
pub mod library;
pub mod life;
pub mod plugin;
pub mod probe;
pub mod xid;

pub use found::{Found, Gpu};
pub use judge::{Judged, State, judge};

use std::path::{Path, PathBuf};

/// The vendor and class of a GPU in Kubernetes and in the Container Device Interface.
pub const RESOURCE: &str = "nvidia.com/gpu";

/// `path`, which is absolute, below `root`.
pub fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}
