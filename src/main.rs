//! The door of `antihate`: hands the embedded payload, if this build carries one, to the command line.

#[cfg(feature = "embed")]
static EMBEDDED: Option<&[u8]> = Some(include_bytes!(env!("ANTIHATE_EMBED_PACK")));
#[cfg(not(feature = "embed"))]
static EMBEDDED: Option<&[u8]> = None;

fn main() -> std::process::ExitCode {
    antihate::cli::main(EMBEDDED)
}
