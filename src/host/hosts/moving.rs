//! From SQLite to etcd in place: what lies in the one is copied into the other while nobody writes, compared, and used from then on.
//!
//! Killed anywhere, the next start begins anew with an empty copy; the old datastore is set aside only after the new one is in use.

use super::etcd;
use crate::config::Place;
use crate::config::layout::Layout;
use crate::config::place::Datastore;
use crate::host::kubernetes::Running;
use crate::host::place;
use crate::host::render::commands;
use crate::host::render::etcd::CLIENT_PORT;
use crate::host::settings::Settings;
use crate::status::Problem;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

/// Everything that the API server keeps lies below this.
const PREFIX: &str = "/registry/";
/// What has a life of its own in the datastore, which the copy would lose: events, and who serves the API.
const SHORT_LIVED: [&str; 2] = ["/registry/events/", "/registry/masterleases/"];
const LIMIT: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(500);

/// Copies; afterwards the place says etcd. Returns how many objects were copied. Blocks.
pub fn copy(s: &Settings) -> Result<usize, Problem> {
    let (from, to) = (with(s, Datastore::Kine), with(s, Datastore::Etcd));
    let failed = |e: std::io::Error| problem(format!("{}: {e}", s.layout.etcd().display()));
    match std::fs::remove_dir_all(s.layout.etcd()) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(s.layout.etcd()).map_err(failed)?,
    }
    let stores = Running::only(s, vec![commands::datastore(&from), commands::datastore(&to)])?;
    let source = format!("--endpoints=unix://{}", s.layout.kine_socket().display());
    let before = until("both datastores answer", || {
        etcd::ctl(&s.layout, &["endpoint", "health"])?;
        sum(&s.layout, &[&source])
    })?;
    let mirror = Running::only(s, vec![commands::component(s, "etcdctl", 2, mirroring(s, &source))])?;
    until("the copy is whole", || {
        let copied = sum(&s.layout, &[])?;
        if copied == before { Ok(()) } else { Err(problem(format!("{} of {} objects are copied", copied.0, before.0))) }
    })?;
    drop(mirror);
    SHORT_LIVED.iter().try_for_each(|prefix| etcd::ctl(&s.layout, &["del", "--prefix", prefix]).map(drop))?;
    drop(stores);
    let now = Place { datastore: Datastore::Etcd, ..place::load(&s.layout)? };
    place::save(&s.layout, &now)?;
    set_aside(&s.layout);
    Ok(before.0)
}

/// Puts the old datastore out of the way, where it stays as it was at the change.
pub fn set_aside(layout: &Layout) {
    let old = layout.kubernetes().join("kine");
    if old.exists() {
        drop(std::fs::rename(&old, layout.kubernetes().join("kine.before-etcd")));
    }
}

fn with(s: &Settings, datastore: Datastore) -> Settings {
    // Alone: the copy begins as the one member, whoever has joined already.
    Settings { place: Place { datastore, members: String::new(), hosts: Vec::new(), ..s.place.clone() }, ..s.clone() }
}

fn mirroring(s: &Settings, source: &str) -> Vec<String> {
    let pki = |f: &str| s.layout.pki().join(f).display().to_string();
    vec![
        "make-mirror".into(),
        source.into(),
        format!("--prefix={PREFIX}"),
        "--dest-insecure-transport=false".into(),
        format!("--dest-cacert={}", pki("trust.crt")),
        format!("--dest-cert={}", pki("etcd-client.crt")),
        format!("--dest-key={}", pki("etcd-client.key")),
        format!("https://127.0.0.1:{CLIENT_PORT}"),
    ]
}

/// Number of objects, and the sum over their names and contents.
fn sum(layout: &Layout, source: &[&str]) -> Result<(usize, String), Problem> {
    let args = |last: &[&'static str]| [source, &["get", "--prefix", PREFIX], last].concat();
    let all = etcd::ctl(layout, &args(&["-w", "simple"]))?;
    let keys = etcd::ctl(layout, &args(&["--keys-only"]))?;
    let count = String::from_utf8_lossy(&keys).lines().filter(|l| !l.is_empty()).count();
    Ok((count, hex::encode(Sha256::digest(&all))))
}

fn until<T>(what: &str, mut ask: impl FnMut() -> Result<T, Problem>) -> Result<T, Problem> {
    let deadline = Instant::now() + LIMIT;
    loop {
        match ask() {
            Ok(done) => return Ok(done),
            Err(last) if Instant::now() > deadline => return Err(problem(format!("{what}: not within {} s; {}", LIMIT.as_secs(), last.cause))),
            Err(_) => std::thread::sleep(LOOK),
        }
    }
}

fn problem(cause: String) -> Problem {
    Problem::new("ETC-104", "the cluster's objects cannot be moved to etcd", cause, "Nothing is lost: they are still in SQLite, and it is tried again. See `antihate logs etcd` and `antihate logs etcdctl`.")
}
