//! Role: prepare, unpack, run Kubernetes, apply, watch.
//!
//! Decisions (`settings`, `render`, `check`) are pure; `facts` asks the machine; `prepare`, `kubernetes`, `images`, `stop`
//! act, each idempotent; `distribution` says which Kubernetes they act on, the embedded one or `k3s`; `heal` makes damaged parts anew; `up` puts them in order and `board` publishes where they stand. `policy` keeps the network policies
//! in force beside them.

mod announce;
pub mod board;
pub mod check;
pub mod credentials;
pub mod distribution;
pub mod facts;
pub mod flannel;
pub mod gpu;
pub mod guard;
pub mod heal;
mod host6;
pub mod images;
pub mod inputs;
pub mod joining;
pub mod k3s;
pub mod kubernetes;
pub mod mesh;
pub mod hosts;
mod notice;
pub mod place;
pub mod policy;
pub mod prepare;
pub mod probe;
pub mod provider;
pub mod render;
pub mod reset;
pub mod rotate;
pub mod service;
pub mod settings;
pub mod stop;
pub mod storage;
pub mod survey;
pub mod up;
mod upkeep;
pub mod watching;
mod wish;
