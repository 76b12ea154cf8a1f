//! Keys and certificates. Sole home of rcgen.

pub mod cluster;
pub mod encryption;
pub mod enroll;
pub mod joined;
pub mod kit;
pub mod mesh;
pub mod page;
pub mod rotation;
pub mod symbols;
