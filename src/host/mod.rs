//! Role: prepare, unpack, run Kubernetes, apply, watch.
//!
//! Decisions (`settings`, `render`, `check`) are pure; `facts` asks the machine; `prepare`, `kubernetes`, `images`, `stop`
//! act, each idempotent; `up` puts them in order and `board` publishes where they stand.

pub mod board;
pub mod check;
pub mod facts;
pub mod images;
pub mod kubernetes;
pub mod prepare;
pub mod probe;
pub mod render;
pub mod settings;
pub mod stop;
pub mod up;
