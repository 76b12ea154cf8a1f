//! What the templates get: the node's state turned into words and shapes by pure functions.

mod check;
mod node;
mod post;
pub mod setup;

pub use check::checks;
pub use node::{node, preparing};
pub use post::post;
