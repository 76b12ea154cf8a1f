//! Role: the page that an owner sees.

mod provider;

pub use provider::{Provider, TokenFacts};
