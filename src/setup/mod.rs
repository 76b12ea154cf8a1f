//! Role: the page that an owner sees.
//!
//! [`Page::open`] listens and makes certificate and PIN, [`Page::serve`] answers. What it tells comes from a
//! [`Provider`], so it works while Kubernetes is down. Post text never enters a page, a log or the audit before
//! a session has asked for that one post.

mod audit;
#[cfg(test)]
mod check_tests;
mod crockford;
mod desk;
mod door;
mod mask;
mod page;
mod pin;
mod pin_file;
mod provider;
mod render;
mod routes;
#[cfg(test)]
mod sample;
mod session;
#[cfg(test)]
mod tests;
mod tongue;
mod tries;
mod users;
#[cfg(test)]
mod users_tests;
mod view;
pub mod wizard;
#[cfg(test)]
mod wizard_tests;
mod words;

pub use desk::Told;
pub use page::{Invitation, Options, Page};
pub use pin_file::{PinTold, path as pin_path};
pub use provider::{Packed, PackedPart, Provider, TokenFacts};
pub use users::{Keep as UserKeep, User};
