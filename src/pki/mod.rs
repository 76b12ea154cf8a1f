//! Keys and certificates. Sole home of rcgen.
