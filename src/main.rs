//! The door of `antihate`: hands what this build carries to the command line.

#[cfg(feature = "embed")]
static EMBEDDED: Option<&[u8]> = Some(include_bytes!(env!("ANTIHATE_EMBED_PACK")));
#[cfg(not(feature = "embed"))]
static EMBEDDED: Option<&[u8]> = None;
#[cfg(feature = "embed")]
static GPU_PROBE: Option<&[u8]> = Some(include_bytes!(env!("ANTIHATE_EMBED_GPU_PROBE")));
#[cfg(not(feature = "embed"))]
static GPU_PROBE: Option<&[u8]> = None;

fn main() -> std::process::ExitCode {
    antihate::cli::main(EMBEDDED, GPU_PROBE)
}
