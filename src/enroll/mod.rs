//! Role: belonging to a geography; edge is the node's half, hub the upstream half.
//!
//! Both halves speak the one [`protocol`] and explain failures by the one catalogue in [`refusal`].
//! A [`token::Token`] is typed once; after that the node is known by a key that never leaves it.

pub mod edge;
pub mod hub;
pub mod protocol;
pub mod refusal;
pub mod token;
mod words;

#[cfg(test)]
mod tests;
