//! What a process asked the kernel to do to files, read from `strace`: the fault points are its system calls, each of them, and no
//! build of its own is needed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// The calls that change files or make them durable.
pub const CALLS: &str = "openat,write,pwrite64,writev,copy_file_range,sendfile,ftruncate,fallocate,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,chmod,fchmod,fchmodat";

/// One call that worked.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Which of this name in its thread, from 1, those that failed among them: as `strace` counts for `when=`.
    pub nth: usize,
    /// What it was given, as `strace` writes it, decoded where it is text.
    pub arguments: Vec<Argument>,
    /// What it returned, and the path behind a descriptor.
    pub returned: (i64, Option<PathBuf>),
}

/// An argument of a call.
#[derive(Clone, Debug)]
pub enum Argument {
    /// Text or bytes.
    Bytes(Vec<u8>),
    /// A descriptor and what it is open on.
    File(i64, PathBuf),
    /// Flags, numbers, structures.
    Other(String),
}

impl Argument {
    /// The path of this argument.
    pub fn path(&self) -> PathBuf {
        match self {
            Argument::Bytes(raw) => OsString::from_vec(raw.clone()).into(),
            Argument::File(_, path) => path.clone(),
            Argument::Other(text) => text.into(),
        }
    }

    /// The number of this argument.
    pub fn number(&self) -> u64 {
        let Argument::Other(text) = self else { panic!("not a number: {self:?}") };
        let octal = text.strip_prefix('0').filter(|t| !t.is_empty()).and_then(|t| u64::from_str_radix(t, 8).ok());
        octal.or_else(|| text.parse().ok()).unwrap_or_else(|| panic!("not a number: {text}"))
    }
}

/// Runs this program's test `name` under `strace` with `options`; the log comes to `log`.
pub fn watched(name: &str, log: &Path, options: &[String], environment: &[(&str, &Path)]) -> (ExitStatus, String) {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-xx", "-s", "1000000", "--signal=none", "-e", &format!("trace={CALLS}"), "-o"]).arg(log).args(options);
    strace.arg(std::env::current_exe().expect("this program")).args(["--ignored", "--exact", name, "--test-threads", "1", "--nocapture"]);
    let out = strace.envs(environment.iter().copied()).stdin(Stdio::null()).output().expect("strace starts; appliance/deps installs it");
    (out.status, format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
}

/// True when the fault of a run struck what the process says, not what it keeps.
pub fn hit_what_it_says(log: &Path) -> bool {
    let text = std::fs::read_to_string(log).expect("the log");
    text.lines().any(|l| l.contains("(INJECTED)") && [" write(1<", " write(2<"].iter().any(|w| l.contains(w)))
}

/// The calls of a log that worked, in the order in which they ended.
pub fn read(log: &Path) -> Vec<Call> {
    let text = std::fs::read_to_string(log).expect("the log");
    let (mut begun, mut counts, mut calls) = (std::collections::HashMap::new(), std::collections::HashMap::new(), Vec::new());
    for line in text.lines() {
        let (thread, rest) = line.split_once(' ').expect("a thread");
        let (thread, rest) = (thread.to_string(), rest.trim_start());
        if let Some(first) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, first.to_string());
            continue;
        }
        let whole = match rest.strip_prefix("<... ").and_then(|r| r.split_once(" resumed>")) {
            Some((_, end)) => begun.remove(&thread).unwrap_or_default() + end,
            None => rest.to_string(),
        };
        let Some((name, rest)) = whole.split_once('(').filter(|(n, _)| n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')) else { continue };
        let nth = counts.entry((thread.clone(), name.to_string())).or_insert(0);
        *nth += 1;
        if let Some(call) = call(name, *nth, rest) {
            calls.push(call);
        }
    }
    calls
}

fn call(name: &str, nth: usize, rest: &str) -> Option<Call> {
    let (arguments, returned) = rest.rsplit_once(") = ").or_else(|| rest.rsplit_once(")  = ")).or_else(|| rest.rsplit_once(" = "))?;
    let arguments = arguments.trim_end().trim_end_matches(')');
    let number: i64 = returned.split(['<', ' ']).next()?.parse().ok()?;
    let path = returned.split_once('<').map(|(_, p)| decoded_path(p));
    (number >= 0).then(|| Call { name: name.into(), nth, arguments: split(arguments).iter().map(|a| argument(a)).collect(), returned: (number, path) })
}

/// At the commas that separate arguments.
fn split(text: &str) -> Vec<String> {
    let (mut all, mut now, mut quoted, mut depth) = (Vec::new(), String::new(), false, 0);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            '[' | '{' | '<' if !quoted => depth += 1,
            ']' | '}' | '>' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                all.push(std::mem::take(&mut now).trim().to_string());
                continue;
            }
            _ => {}
        }
        now.push(c);
    }
    all.push(now.trim().to_string());
    all
}

fn argument(text: &str) -> Argument {
    if let Some(quoted) = text.strip_prefix('"') {
        return Argument::Bytes(bytes(quoted.trim_end_matches('.').trim_end_matches('"')));
    }
    match text.split_once('<') {
        Some((number, path)) => Argument::File(number.parse().unwrap_or(-1), decoded_path(path)),
        None => Argument::Other(text.into()),
    }
}

fn decoded_path(text: &str) -> PathBuf {
    OsString::from_vec(bytes(text.trim_end().trim_end_matches('>'))).into()
}

/// Undoes `\x41`.
fn bytes(text: &str) -> Vec<u8> {
    let (raw, mut all, mut n) = (text.as_bytes(), Vec::new(), 0);
    while n < raw.len() {
        let hex = (raw[n] == b'\\' && raw.get(n + 1) == Some(&b'x')).then(|| u8::from_str_radix(&text[n + 2..n + 4], 16).ok()).flatten();
        all.push(hex.unwrap_or(raw[n]));
        n += if hex.is_some() { 4 } else { 1 };
    }
    all
}
