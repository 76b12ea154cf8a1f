//! What the templates get: the node's state turned into words and shapes by pure functions.

mod node;
mod post;

pub use node::{node, preparing};
pub use post::post;
