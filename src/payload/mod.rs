//! Packs: what the one file carries, and how it is unpacked.
