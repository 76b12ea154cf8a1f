//! A child that runs once: its input is streamed, its output collected, its end awaited.

use super::supervisor::harden;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// How a child of this kind ended.
#[derive(Debug)]
pub struct Outcome {
    /// True for exit code 0.
    pub ok: bool,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// The last part of standard error.
    pub stderr: String,
}

/// Runs `program` as `arg0`, feeding its input with `feed`; blocks. An error of `feed` ends the child.
pub fn run<E>(
    program: &Path,
    arg0: &str,
    args: &[&str],
    env: &[(String, String)],
    feed: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> std::io::Result<(Outcome, Result<(), E>)> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    command.arg0(arg0).args(args).env_clear().envs(env.iter().cloned());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    harden(&mut command);
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().expect("piped");
    let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let (stdout, stderr) = (std::thread::spawn(|| drain(out)), std::thread::spawn(|| drain(err)));
    let fed = feed(&mut stdin);
    end_input(stdin, fed.is_err(), &mut child);
    let status = child.wait()?;
    let stdout = stdout.join().expect("reading does not panic");
    let stderr = String::from_utf8_lossy(&stderr.join().expect("reading does not panic")).into_owned();
    let tail = stderr.char_indices().rev().nth(2000).map_or(0, |(at, _)| at);
    Ok((Outcome { ok: status.success(), stdout, stderr: stderr[tail..].trim().to_string() }, fed))
}

/// Runs a program that needs no input and is to answer within `limit`; one that does not is ended, which is an error. Blocks.
pub fn answer(program: &Path, arg0: &str, args: &[&str], env: &[(String, String)], limit: Duration) -> std::io::Result<Outcome> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(program);
    command.arg0(arg0).args(args).env_clear().envs(env.iter().cloned());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    harden(&mut command);
    let mut child = command.spawn()?;
    let (out, err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let (stdout, stderr) = (std::thread::spawn(|| drain(out)), std::thread::spawn(|| drain(err)));
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                // With whatever it has started: the pipes end only with the last holder.
                let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
                child.wait()?;
                return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, format!("it gave no answer within {} s", limit.as_secs())));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let stdout = stdout.join().expect("reading does not panic");
    let stderr = String::from_utf8_lossy(&stderr.join().expect("reading does not panic")).trim().to_string();
    Ok(Outcome { ok: status.success(), stdout, stderr })
}

fn end_input(stdin: ChildStdin, failed: bool, child: &mut std::process::Child) {
    if failed {
        drop(child.kill()); // half an input must not look like a whole one
    }
    drop(stdin);
}

fn drain(mut from: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    drop(from.read_to_end(&mut all));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_goes_in_and_output_comes_out() {
        let (outcome, fed) = run(Path::new("/bin/cat"), "cat", &[], &[], |w| w.write_all(b"hello")).unwrap();
        fed.unwrap();
        assert!(outcome.ok);
        assert_eq!(outcome.stdout, b"hello");
    }

    #[test]
    fn an_input_that_fails_half_way_ends_the_child() {
        let (outcome, fed) = run(Path::new("/bin/cat"), "cat", &[], &[], |_| Err("damaged")).unwrap();
        assert_eq!(fed, Err("damaged"));
        assert!(!outcome.ok);
    }

    #[test]
    fn a_program_that_does_not_answer_is_ended() {
        let limit = Duration::from_millis(200);
        let late = answer(Path::new("/bin/sleep"), "sleep", &["1000"], &[], limit).unwrap_err();
        assert_eq!(late.kind(), std::io::ErrorKind::TimedOut);
        let said = answer(Path::new("/bin/echo"), "echo", &["hello"], &[], Duration::from_secs(60)).unwrap();
        assert!(said.ok && said.stdout == b"hello\n");
    }
}
