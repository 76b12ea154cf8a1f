//! Configuration: raw (as written) to valid (checked) to resolved (with the host's facts).
//!
//! [`Settings`] is `settings.toml` as a person wrote it; [`Valid`] is the same after every check; [`Resolved`] adds
//! what only the host knows (cores, memory, disk, resolvers) and the sizes that follow from it. Nothing here does
//! I/O, except [`load`], which reads one small file. Secrets have no field in any of these types.

pub mod layout;
mod observation;
pub mod place;
mod resolved;
mod settings;
mod sizes;
mod valid;
#[cfg(test)]
mod valid_tests;

pub use observation::Observation;
pub use place::Place;
pub use resolved::{HostFacts, Resolved};
pub use settings::{Analyzer, Engine, Feed, Import, Instance, Network, Node, Page, Settings, Sources, Storage};
pub use sizes::{GIB, MIB, Share, Sizes, Volumes};
pub use valid::{Valid, load, save_text};
