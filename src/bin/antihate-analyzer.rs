//! The door of `antihate-analyzer`: the roles that run in pods.

fn main() -> std::process::ExitCode {
    antihate::cli::pod::main("antihate-analyzer")
}
