//! A7: how many posts a day this machine holds with the whole stack running, the backlog staying flat.
//!
//! Files of posts are put into the import folder whenever the backlog has come down: observer, Kafka, analyzer and database
//! work all the time, and none runs ahead of the others.

use crate::measure::{Posts, figure, pairs, window};
use crate::procs::{cpu, sums, told};
use crate::sides::{Ours, Side};
use crate::support::testhost::Switch;
use crate::support::until;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// Posts a file; the next comes when the backlog is smaller than this.
const FILE: usize = 4000;
/// Posts a day in the guide.
const GUIDE: f64 = 500_000.0;

/// What the node says of its pipeline.
struct Mark {
    at: DateTime<Utc>,
    stored: f64,
    backlog: u64,
}

fn mark(ours: &Ours) -> Option<Mark> {
    let status = ours.status();
    let pipeline = &status["pipeline"];
    Some(Mark { at: status["at"].as_str()?.parse().ok()?, stored: pipeline["stored"].as_f64()?, backlog: pipeline["backlog"].as_u64()? })
}

struct Feed {
    folder: PathBuf,
    posts: Posts,
    files: usize,
    last: DateTime<Utc>,
}

impl Feed {
    /// Adds a file when the one before it was read, the backlog was told since then, and it is small.
    fn top_up(&mut self, now: &Mark) {
        let waiting = std::fs::read_dir(&self.folder).into_iter().flatten().flatten().any(|e| e.path().extension().is_some_and(|x| x == "jsonl"));
        if waiting || now.backlog >= FILE as u64 || (now.at - self.last).num_seconds() < 2 {
            return;
        }
        self.last = Utc::now();
        let mut lines = String::new();
        for n in 0..FILE {
            let id = self.files * FILE + n;
            let text = self.posts.next().expect("without end");
            writeln!(lines, "{}", serde_json::json!({"id": format!("p{id}"), "text": text})).expect("a string");
        }
        let part = self.folder.join(format!("{:06}.part", self.files));
        std::fs::write(&part, lines).expect("written");
        std::fs::rename(&part, part.with_extension("jsonl")).expect("renamed");
        self.files += 1;
    }

    /// Keeps feeding for a time; what the node says at its end.
    fn keep(&mut self, ours: &Ours, seconds: u64) -> Mark {
        let begun = Utc::now();
        loop {
            std::thread::sleep(Duration::from_millis(250));
            let Some(now) = mark(ours) else { continue };
            self.top_up(&now);
            if (now.at - begun).num_milliseconds() >= seconds as i64 * 1000 {
                return now;
            }
        }
    }
}

pub fn a7(switch: &Switch) {
    let mut ours = Ours::new(switch, &[]);
    std::fs::create_dir_all(ours.host().data()).expect("a folder");
    std::fs::write(ours.host().data().join("settings.toml"), "[sources]\npoll_seconds = 1\n").expect("settings");
    ours.start();
    ours.healthy();
    let mut feed = Feed { folder: ours.layout().volumes().join("import"), posts: Posts::new(), files: 0, last: DateTime::UNIX_EPOCH };
    until("the first posts are stored", Duration::from_secs(300), || {
        let now = mark(&ours)?;
        feed.top_up(&now);
        (now.stored > 0.0).then_some(())
    });
    let mut last = feed.keep(&ours, window());
    let (first, before, mut windows, mut backlogs) = (last.at, usage(&ours), Vec::new(), vec![last.backlog]);
    for _ in 0..pairs() {
        let now = feed.keep(&ours, window());
        windows.push(((now.stored - last.stored) / seconds(&last, &now) * 86_400.0, GUIDE));
        backlogs.push(now.backlog);
        last = now;
    }
    let lasted = (last.at - first).num_milliseconds() as f64 / 1000.0;
    let cores: BTreeMap<String, f64> = usage(&ours).into_iter().map(|(n, c)| (n.clone(), (c - before.get(&n).unwrap_or(&0.0)) / lasted)).collect();
    let what = "A7 posts a day with the whole stack, fed so that the backlog stays flat; baseline the guide's volume";
    figure(what, ("posts a day", 0), &format!("windows of {} s", window()), &windows);
    println!("A7 messages not yet stored at the windows' ends: {backlogs:?}; cores used: {}", told(&cores, 2));
}

fn seconds(from: &Mark, to: &Mark) -> f64 {
    (to.at - from.at).num_milliseconds() as f64 / 1000.0
}

fn usage(ours: &Ours) -> BTreeMap<String, f64> {
    let mut pids = ours.group().processes();
    pids.push(ours.pid());
    sums(&pids, part, cpu)
}

/// Which part of the node a command line belongs to.
fn part(line: &str) -> String {
    let parts = [("antihate-analyzer", "analyzer"), ("observe --platform", "observers"), ("kafka.Kafka", "Kafka"), ("postgres", "PostgreSQL"), ("prometheus", "Prometheus"), (" up --node-ip", "host process")];
    parts.iter().find(|(word, _)| line.contains(word)).map_or("Kubernetes", |(_, name)| name).into()
}
