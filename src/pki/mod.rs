//! Keys and certificates. Sole home of rcgen.

pub mod cluster;
mod kit;
pub mod page;
