//! Keys and certificates. Sole home of rcgen.

pub mod cluster;
pub mod enroll;
mod kit;
pub mod page;
