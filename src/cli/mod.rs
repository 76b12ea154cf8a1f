//! The command line: picks one role, and is the only home of `anyhow`.

pub mod pod;

use std::process::ExitCode;

/// Runs the command line of `antihate`. `embedded` is the Kubernetes pack that this build carries, if any.
pub fn main(_embedded: Option<&'static [u8]>) -> ExitCode {
    ExitCode::SUCCESS
}
