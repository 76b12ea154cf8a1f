//! One supervised child: started, watched, restarted with back-off, ended with a deadline.

use super::cgroup::Cgroup;
use super::log::RotatingLog;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Environment variable that every child of a node carries: its value names the node's data root.
pub const MARK: &str = "ANTIHATE_NODE";
/// Largest log file of one component, bytes.
const LOG_CAP: u64 = 8 << 20;
/// Shortest and longest wait before a restart.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// A child that lived this long starts anew with the shortest wait.
const SETTLED: Duration = Duration::from_secs(60);

/// What to run.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Name, also `argv[0]`.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Where its output goes.
    pub log: PathBuf,
    /// Control group that it is put into.
    pub cgroup: Option<Cgroup>,
    /// Time between asking it to end and ending it.
    pub grace: Duration,
}

/// What is known of a child.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Its process, while it runs.
    pub pid: Option<i32>,
    /// How often it was started again.
    pub restarts: u32,
    /// How it ended last, in words.
    pub last_end: Option<String>,
    /// How often it ended in a row without having settled.
    pub failures: u32,
    /// When it was started last.
    pub began: Option<Instant>,
}

impl State {
    /// How often it ended in a row; 0 once it runs for good.
    pub fn failing(&self) -> u32 {
        let settled = self.pid.is_some() && self.began.is_some_and(|at| at.elapsed() > SETTLED);
        if settled { 0 } else { self.failures }
    }
}

struct Control {
    stop: Mutex<bool>,
    wake: Condvar,
}

/// Handle of a supervised child; dropping it ends the child.
pub struct Supervised {
    name: &'static str,
    control: Arc<Control>,
    state: watch::Receiver<State>,
    grace: Duration,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Supervised {
    /// Starts supervising; the child itself is started by its thread.
    pub fn start(spec: Spec) -> std::io::Result<Supervised> {
        let (send, state) = watch::channel(State::default());
        let control = Arc::new(Control { stop: Mutex::new(false), wake: Condvar::new() });
        let (name, grace, shared) = (spec.name, spec.grace, control.clone());
        let thread = std::thread::Builder::new().name(format!("child-{name}")).spawn(move || run(&spec, &shared, &send))?;
        Ok(Supervised { name, control, state, grace, thread: Some(thread) })
    }

    /// Name of the child.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What is known of the child now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Hears of its beginnings and ends.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Asks the child to end, ends it after its grace, and waits; blocks.
    pub fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        *self.control.stop.lock().expect("not poisoned") = true;
        self.control.wake.notify_all();
        let deadline = Instant::now() + self.grace;
        signal(self.state.borrow().pid, Signal::SIGTERM);
        while !thread.is_finished() {
            if Instant::now() > deadline {
                signal(self.state.borrow().pid, Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(thread.join());
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.stop();
    }
}

fn signal(pid: Option<i32>, signal: Signal) {
    if let Some(pid) = pid {
        let _ = killpg(Pid::from_raw(pid), signal); // it may have ended by itself
    }
}

/// The thread of one child.
fn run(spec: &Spec, control: &Control, state: &watch::Sender<State>) {
    let mut wait = BACK_OFF.0;
    while !*control.stop.lock().expect("not poisoned") {
        let began = Instant::now();
        let end = match spawn(spec) {
            Err(e) => format!("could not be started: {e}"),
            Ok(child) => {
                state.send_modify(|s| (s.pid, s.began) = (Some(child.id() as i32), Some(began)));
                watch_child(spec, child, control)
            }
        };
        let settled = began.elapsed() > SETTLED;
        state.send_modify(|s| (s.pid, s.last_end, s.failures) = (None, Some(end.clone()), if settled { 1 } else { s.failures + 1 }));
        if *control.stop.lock().expect("not poisoned") {
            return;
        }
        wait = if settled { BACK_OFF.0 } else { wait };
        tracing::warn!(component = spec.name, %end, wait_ms = wait.as_millis() as u64, "a component ended; it is started again");
        let guard = control.stop.lock().expect("not poisoned");
        drop(control.wake.wait_timeout_while(guard, wait, |stop| !*stop));
        wait = (wait * 2).min(BACK_OFF.1);
        state.send_modify(|s| s.restarts += 1);
    }
}

/// Copies the child's output to its log until it ends. Whatever it left in its process group ends with it.
fn watch_child(spec: &Spec, mut child: Child, control: &Control) -> String {
    let pid = Pid::from_raw(child.id() as i32);
    if *control.stop.lock().expect("not poisoned") {
        let _ = killpg(pid, Signal::SIGTERM); // asked to stop between fork and the publication of the pid
    }
    let output = child.stdout.take();
    let log = spec.log.clone();
    let copier = output.map(|out| std::thread::spawn(move || copy(out, &log)));
    let status = child.wait();
    let _ = killpg(pid, Signal::SIGKILL);
    if let Some(copier) = copier {
        drop(copier.join());
    }
    status.map_or_else(|e| format!("could not be awaited: {e}"), describe)
}

fn copy(mut from: impl Read, to: &std::path::Path) {
    let mut log = RotatingLog::open(to, LOG_CAP).ok();
    let mut buffer = [0u8; 16 << 10];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 {
            return;
        }
        // A log that cannot be written must not stop the component: its output is read on and dropped.
        if log.as_mut().is_some_and(|l| l.append(&buffer[..n]).is_err()) {
            log = None;
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with code {code}"),
        (_, Some(signal)) => format!("ended by signal {signal}"),
        _ => "ended".into(),
    }
}

fn spawn(spec: &Spec) -> std::io::Result<Child> {
    let (reader, writer) = std::io::pipe()?;
    let mut command = Command::new(&spec.program);
    command.arg0(spec.name).args(&spec.args).env_clear().envs(spec.env.iter().cloned());
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    harden(&mut command);
    let mut child = command.spawn()?;
    drop(command); // closes our copies of the pipe's end, so that reading ends with the child
    child.stdout = None;
    if let Some(cgroup) = &spec.cgroup {
        cgroup.join(child.id() as i32)?;
    }
    attach(child, reader)
}

/// The child ends when the thread that starts it ends, and blocks no signal.
pub(super) fn harden(command: &mut Command) {
    let parent = nix::unistd::getpid();
    // SAFETY: between fork and exec only async-signal-safe system calls are made.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            if nix::unistd::getppid() != parent {
                return Err(std::io::Error::from_raw_os_error(nix::libc::ECHILD));
            }
            Ok(nix::sys::signal::SigSet::empty().thread_set_mask()?)
        });
    }
}

/// The pipe carries both outputs; the handle keeps the reading end as the child's standard output.
fn attach(mut child: Child, reader: std::io::PipeReader) -> std::io::Result<Child> {
    child.stdout = Some(std::process::ChildStdout::from(std::os::fd::OwnedFd::from(reader)));
    Ok(child)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, dir: &std::path::Path) -> Spec {
        Spec {
            name: "sh",
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            log: dir.join("sh.log"),
            cgroup: None,
            grace: Duration::from_millis(300),
        }
    }

    fn until(what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(Instant::now() < deadline, "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_child_that_ends_is_started_again_and_its_output_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Supervised::start(sh("echo hello; echo trouble >&2; exit 3", dir.path())).unwrap();
        until("restarted", || child.state().restarts >= 1);
        // Read before the stop, which may end the second try by a signal.
        assert_eq!(child.state().last_end.as_deref(), Some("ended with code 3"));
        assert!(child.state().failing() >= 1);
        child.stop();
        let log = std::fs::read_to_string(dir.path().join("sh.log")).unwrap();
        assert!(log.contains("hello") && log.contains("trouble"), "{log}");
    }

    #[test]
    fn a_child_that_ignores_the_request_is_ended_with_its_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pids");
        let script = format!("trap '' TERM; sleep 1000 & echo $! > {0}.tmp; mv {0}.tmp {0}; while :; do sleep 1; done", file.display());
        let mut child = Supervised::start(sh(&script, dir.path())).unwrap();
        until("started", || file.exists());
        let grandchild: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        child.stop();
        until("the grandchild is gone", || !super::super::scan::alive(grandchild));
        assert_eq!(child.state().pid, None);
    }

    #[test]
    fn a_program_that_does_not_exist_is_reported_not_fatal() {
        let dir = tempfile::tempdir().unwrap();
        let child = Supervised::start(Spec { program: "/nonexistent".into(), ..sh("", dir.path()) }).unwrap();
        until("reported", || child.state().last_end.is_some_and(|e| e.starts_with("could not be started")));
    }
}
