//! Child processes: start, watch, restart, end. Sole home of nix process calls.
