//! Role: the console: a full screen of text for who stands before the host, on tty1, a serial line or any terminal.
//!
//! [`Facts`] are gathered once a second from what the host process publishes and from the kernel, never from the API server; [`App`] is
//! what is on the screen and what a key does; [`screen`] draws both. All of that is pure. [`run`](terminal::run) owns the terminal, and the
//! threads for what takes time. It works while no node runs, changes nothing on the host but for the support bundle that is asked for,
//! and shows the PIN only while nobody has claimed the node.

mod app;
mod bundle;
mod facts;
mod links;
mod panes;
mod qr;
mod screen;
mod stage;
mod terminal;
#[cfg(test)]
mod tests;

pub use app::App;
pub use facts::{Facts, gather};
pub use screen::{once, text};
pub use terminal::run;
