//! Child processes: start, watch, restart, end. Sole home of nix process calls.
//!
//! A supervised child belongs to one thread that starts it, waits for it and starts it again with back-off. The thread
//! lives as long as the child, so the kernel ends the child when this process is killed (`PR_SET_PDEATHSIG` follows the
//! thread that forked). What outlives us on purpose (containers and their shims) is found by the mark in its environment.

pub mod cgroup;
pub mod clock;
pub mod folder;
pub mod links;
pub mod log;
pub mod memory;
pub mod mounts;
pub mod netlink;
pub mod once;
pub mod scan;
pub mod supervisor;
