//! Role: another host joins this cluster.
//!
//! A control plane makes a code that serves once, for an hour. The joining host reads in it where to go and whom to find there;
//! it sends nothing before the other end has proved to hold the pinned key, and the code itself never crosses the wire. What it
//! gets are its number, its keys and who else belongs to the cluster.

pub mod ask;
pub mod code;
pub mod decide;
pub mod door;
pub mod keys;
pub mod protocol;
pub mod registry;
#[cfg(test)]
mod server_tests;

use crate::status::Problem;

/// Where a control plane listens for those who join.
pub const PORT: u16 = 8444;

/// A problem of joining, by number.
fn problem(number: u16, what: impl Into<String>, cause: impl Into<String>, next: impl Into<String>) -> Problem {
    Problem::new(&format!("JOI-{number}"), what, cause, next)
}
