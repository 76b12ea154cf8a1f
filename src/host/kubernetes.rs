//! Runs the cluster's components: starts them in an order that lets them overlap, knows each one's health, ends them in order.

use super::probe::{self, ProbeError, Tls};
use super::render::commands::Component;
use super::settings::{API_PORT, Settings};
use super::watching::{News, news};
use crate::process::cgroup::{self, Cgroup};
use crate::process::supervisor::{MARK, Spec, State, Supervised};
use crate::status::Problem;
use std::path::Path;
use std::time::Duration;

/// The running components, in starting order.
pub struct Running {
    children: Vec<Supervised>,
    parts: &'static [&'static str],
}

fn spec(s: &Settings, c: Component) -> Spec {
    Spec {
        name: c.name,
        program: c.program,
        args: c.args,
        env: environment(s),
        log: s.layout.log(c.name),
        cgroup: Some(Cgroup::new(Path::new(cgroup::MOUNT), &format!("{}/host", s.layout.cgroup()))),
        grace: Duration::from_secs(c.grace_s),
    }
}

/// Percent by which a component's heap may grow before it is collected: Go's own while it starts, because collections cost time
/// then and a heap that grew further stays in pieces, and little once it has settled (two minutes later,
/// `appliance/kubernetes/cluster`), because a heap that is mostly idle would take twice its size.
const GARBAGE: (&str, &str) = ("100", "30");

/// What every component sees; nothing of ours is inherited.
fn environment(s: &Settings) -> Vec<(String, String)> {
    let pair = |k: &str, v: String| (k.to_string(), v);
    let mut all = vec![
        pair("PATH", s.path()),
        pair("HOME", s.layout.kubernetes().join("home").display().to_string()),
        pair("TMPDIR", s.layout.run.join("tmp").display().to_string()),
        pair("GOGC", GARBAGE.0.into()),
        pair("ANTIHATE_SETTLED_GOGC", GARBAGE.1.into()),
        // flannel asks for it.
        pair("NODE_NAME", s.node.clone()),
        pair(MARK, s.layout.data.display().to_string()),
    ];
    all.extend(s.distribution.environment(&s.layout).into_iter().map(|(name, value)| pair(name, value)));
    all
}

impl Running {
    /// Starts what needs no API server: datastore, container runtime and API server, or the one process that is all of them.
    pub fn start(s: &Settings) -> Result<Running, Problem> {
        let mut running = Running { children: Vec::new(), parts: s.distribution.parts() };
        s.distribution.components(s).into_iter().filter(|c| s.distribution.starts_first(c.name)).try_for_each(|c| running.launch(s, c))?;
        Ok(running)
    }

    /// Starts these alone.
    pub fn only(s: &Settings, components: Vec<Component>) -> Result<Running, Problem> {
        let mut running = Running { children: Vec::new(), parts: &[] };
        components.into_iter().try_for_each(|c| running.launch(s, c))?;
        Ok(running)
    }

    /// Starts one more.
    pub fn also(&mut self, s: &Settings, component: Component) -> Result<(), Problem> {
        self.launch(s, component)
    }

    /// Starts those that need the API server, unless they were started.
    pub fn start_rest(&mut self, s: &Settings) -> Result<(), Problem> {
        let missing: Vec<Component> = s.distribution.components(s).into_iter().filter(|c| !self.children.iter().any(|r| r.name() == c.name)).collect();
        missing.into_iter().try_for_each(|c| self.launch(s, c))
    }

    fn launch(&mut self, s: &Settings, component: Component) -> Result<(), Problem> {
        let name = component.name;
        let child = Supervised::start(spec(s, component));
        self.children.push(child.map_err(|e| {
            Problem::new("KUB-201", format!("{name} could not be supervised"), e.to_string(), "free memory or process slots on this host, then start again")
        })?);
        Ok(())
    }

    /// What is known of each child, and the names of what runs inside of one.
    pub fn states(&self) -> Vec<(&'static str, State)> {
        let inside = self.parts.iter().map(|name| (*name, State::default()));
        self.children.iter().map(|c| (c.name(), c.state())).chain(inside).collect()
    }

    /// What is heard of each child.
    pub fn news(&self) -> Vec<News> {
        self.children.iter().map(|c| news(c.watch())).collect()
    }

    /// Ends the components `names`, the last started first; blocks.
    pub fn stop(&mut self, names: &[&str]) {
        for child in self.children.iter_mut().rev().filter(|c| names.contains(&c.name())) {
            child.stop();
        }
    }
}

/// Asks a component how it is.
pub async fn ask(s: &Settings, tls: &Tls, component: &str) -> Result<(), ProbeError> {
    probe::ask(&s.distribution.probe_of(s, component).expect("every component has a probe"), tls).await
}

/// The problem of a component that does not answer; names those that ended meanwhile.
pub fn silent(s: &Settings, name: &str, last: &ProbeError, states: &[(&'static str, State)]) -> Problem {
    let ends: Vec<String> = states.iter().filter_map(|(n, state)| Some(format!("{n} {}", state.last_end.as_ref()?))).collect();
    let cause = if ends.is_empty() { last.to_string() } else { format!("{last}; {}", ends.join("; ")) };
    Problem::new("KUB-202", format!("{name} does not answer"), cause, format!("read {}, or `antihate logs {name}`", s.layout.log(name).display()))
}

/// True when the API server says that the node is Ready.
pub async fn node_ready(s: &Settings, tls: &Tls) -> Result<bool, ProbeError> {
    let path = format!("/api/v1/nodes/{}", s.node);
    let body = tokio::time::timeout(Duration::from_secs(5), tls.get(API_PORT, &path)).await.map_err(|_| ProbeError::Late)??;
    let node: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
    Ok(conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
}
