//! Packs: what the one file carries, and how it is unpacked.
//!
//! One format serves the embedded Kubernetes, the packs behind the ELF and the packs of a site or vendor. A pack is
//! opened (footer, index, signature), each entry is verified while it is read, and what is unpacked becomes visible
//! by one rename after all of it was verified. Nothing here starts a process or decides when to unpack.

mod elf;
mod error;
mod folder;
mod format;
mod item;
mod model;
mod oci;
mod pack;
mod parts;
mod spool;
mod trust;
mod unpack;
mod write;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_add;
#[cfg(test)]
mod tests_kill;
#[cfg(test)]
mod tests_oci;

pub use error::PackError;
pub use folder::collect;
pub use format::{Entry, Index, Kind};
pub use item::{Item, Verified};
pub use model::unpack_models;
pub use oci::{image_names, write_layout};
pub use pack::Opened;
pub use pack::{embedded_key, open_file as open_packs};
pub use parts::{Part, Payload, Places};
pub use trust::{Key, SigningKey, Trust};
pub use unpack::{check_space, need, unpack_kubernetes, verify_unpacked, Need, SpaceProbe, Unpacked};
pub use write::{append, create, Created};
