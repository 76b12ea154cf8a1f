//! Configuration: raw (as written) to valid (checked) to resolved (with the host's facts).

pub mod layout;
