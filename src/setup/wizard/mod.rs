//! What the owner is asked after claiming the node: answers, the order of the screens, and how both are kept and applied.
//!
//! Pure but for `keep`, `token` and `apply`, which hold three files of the data root: `setup.json` (answers and how far they are),
//! `secrets/setup-token` (a token that waits to be sent) and `settings.toml` (what the node does). The page and `antihate setup` use the
//! same code. The node never waits for any of it: it is brought up beside.

pub mod answers;
pub mod apply;
pub mod file;
pub mod form;
pub mod keep;
pub mod refusal;
pub mod state;
#[cfg(test)]
mod tests;
pub mod token;

pub use answers::Answers;
pub use keep::Keep;
pub use refusal::Refusal;
pub use state::{Answer, Screen, State, Taken};
