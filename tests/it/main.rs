//! The integration tests: one binary, so that everything is linked once.

#[path = "../support/mod.rs"]
#[allow(dead_code)] // parts wait for their tests
mod support;

mod flow;
mod enrollment;
mod hosts;
mod netpol;
mod node;
mod store;
