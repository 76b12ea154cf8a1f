//! The sample site: an RSS feed, an Atom feed and a Mastodon-shaped API with posts written by us.
//!
//! Which posts exist is a function of the clock and nothing else, so the site may be killed and goes on with the same
//! posts under the same identities. It serves only; it reads nothing from anywhere.

mod posts;
mod site;

pub use posts::{Catalogue, SamplePost};
pub use site::{Site, serve};
