//! Keys and certificates. Sole home of rcgen.

pub mod enroll;
