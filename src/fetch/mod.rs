//! Outbound HTTP with limits. Sole home of reqwest.
