//! Pods of a node under test: found by the API, entered by their network namespaces, asked whom they reach.

use super::testhost::TestHost;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

const REACH: &str = include_str!("reach.py");

/// A running pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// `namespace/app`, where app is the label, or the pod's name without one.
    pub name: String,
    /// Its address.
    pub ip: String,
    /// A process in its network namespace.
    pub pid: i32,
}

/// Runs kubectl; its output where it succeeded.
pub fn kubectl(host: &TestHost, args: &[&str]) -> Option<String> {
    let out = host.antihate(&[&["kubectl"], args].concat());
    if !out.status.success() {
        eprintln!("kubectl {args:?}: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Applies objects.
pub fn apply(host: &TestHost, objects: &[Value]) {
    let file = host.folder().join(format!("apply-{}.json", objects[0]["metadata"]["name"].as_str().expect("a name")));
    std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).expect("written");
    let done = || kubectl(host, &["apply", "-f", file.to_str().expect("UTF-8")]);
    super::until("the objects are applied", std::time::Duration::from_secs(60), done);
}

/// All running pods with an address of their own, and a process in their network.
pub fn all(host: &TestHost) -> Option<Vec<Pod>> {
    let listed: Value = serde_json::from_str(&kubectl(host, &["get", "pods", "-A", "-o", "json"])?).ok()?;
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let running = listed["items"].as_array()?.iter().filter(|p| p["status"]["phase"] == "Running" && p["metadata"]["deletionTimestamp"].is_null());
    running
        .map(|p| {
            let label = Some(text(&p["metadata"]["labels"]["app"])).filter(|l| !l.is_empty()).unwrap_or_else(|| text(&p["metadata"]["name"]));
            let pid = inside(&text(&p["metadata"]["uid"]))?;
            Some(Pod { name: format!("{}/{label}", text(&p["metadata"]["namespace"])), ip: Some(text(&p["status"]["podIP"])).filter(|i| !i.is_empty())?, pid })
        })
        .collect()
}

/// A process of the pod with this uid: its control group is named after it.
fn inside(uid: &str) -> Option<i32> {
    let pids = std::fs::read_dir("/proc").ok()?.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let mut own = pids.filter(|pid| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|c| c.contains(&format!("pod{uid}"))));
    own.find(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| !exe.ends_with("runc")))
}

/// A prober at work in some network; ends with this value.
pub struct Prober {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl Prober {
    /// Starts in the network of the process `pid`.
    pub fn inside(pid: i32, told: &Value) -> Prober {
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid.to_string(), "--net", "--", "python3", "-c", REACH]);
        Prober::start(command, told)
    }

    /// Starts `command`, which runs the prober.
    pub fn on(host: &TestHost, told: &Value) -> Prober {
        let mut command = host.command("python3");
        command.args(["-c", REACH]);
        Prober::start(command, told)
    }

    fn start(mut command: Command, told: &Value) -> Prober {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a prober");
        let mut input = child.stdin.take().expect("piped");
        writeln!(input, "{told}").expect("it reads");
        let (send, lines) = channel();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|_| line.clone().into());
                if send.send(value).is_err() {
                    return;
                }
            }
        });
        Prober { child, input: Some(input), lines }
    }

    /// The next thing that it says.
    pub fn next(&self) -> Value {
        self.lines.recv_timeout(std::time::Duration::from_secs(120)).expect("the prober says something")
    }

    /// What it has said meanwhile.
    pub fn said(&self) -> Vec<Value> {
        self.lines.try_iter().collect()
    }

    /// Asks it to end; all that it said.
    pub fn end(mut self) -> Vec<Value> {
        self.input = None;
        drop(self.child.wait());
        self.lines.iter().collect()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        drop((self.child.kill(), self.child.wait()));
    }
}
