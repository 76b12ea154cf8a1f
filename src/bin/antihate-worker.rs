//! The door of `antihate-worker`: the roles that run in pods.

fn main() -> std::process::ExitCode {
    antihate::cli::pod::main("antihate-worker")
}
