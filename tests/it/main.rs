//! The integration tests: one binary, so that everything is linked once.

#[path = "../support/mod.rs"]
#[allow(dead_code)] // parts wait for their tests
mod support;

mod bundle;
mod cluster;
mod crash;
mod dual;
mod enrollment;
mod file;
mod flow;
mod gpu;
mod hardened;
mod heal;
mod hosts;
mod joined;
mod members;
mod mesh;
mod names;
mod k3s;
mod machine;
mod netpol;
mod node;
mod open;
mod refusals;
mod restarts;
mod rotations;
mod sctp;
mod storage;
mod store;
mod upkeep;
mod walk;
