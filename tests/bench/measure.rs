//! What the benchmarks share: which were asked for and how often, costs, the line that a figure is, and the posts.

use antihate::inference::{ModelFolder, Tokens};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The benchmarks named on the command line; without a name, all.
pub struct Asked(Vec<String>);

impl Asked {
    pub fn read() -> Asked {
        // Cargo itself adds `--bench`.
        Asked(std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect())
    }

    pub fn wants(&self, id: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|a| a == id)
    }

    pub fn wants_any(&self, ids: &[&str]) -> bool {
        ids.iter().any(|id| self.wants(id))
    }
}

/// A number from the environment: for trying a benchmark out in less time than its figure needs.
pub fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}

/// How many pairs are compared.
pub fn pairs() -> usize {
    setting("ANTIHATE_BENCH_PAIRS", 7).max(1) as usize
}

/// Length of one window of a benchmark under load, seconds.
pub fn window() -> u64 {
    setting("ANTIHATE_BENCH_SECONDS", 60).max(1)
}

/// Folder of the text model.
pub fn model() -> PathBuf {
    std::env::var_os("MODEL_PATH").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("models/text"), PathBuf::from)
}

/// The tokenizer of a model, cut as the analyzer cuts.
pub fn tokenizer(model: &Path) -> Tokens {
    let folder = ModelFolder::open(model).unwrap_or_else(|e| panic!("{}", e.problem().render()));
    let file = &folder.manifest().files.tokenizer;
    Tokens::parse(&folder.locate(file), &folder.read(file).expect("tokenizer"), 512).expect("tokenizer")
}

/// Median, least and greatest.
pub fn spread(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut v: Vec<f64> = values.collect();
    v.sort_by(f64::total_cmp);
    (v[v.len() / 2], v[0], v[v.len() - 1])
}

/// Prints a figure: the medians of both sides, and of the ratios ours/baseline the median, the least and the greatest.
/// `times` says what was repeated, such as `pairs`.
pub fn figure(name: &str, (unit, digits): (&str, usize), times: &str, pairs: &[(f64, f64)]) {
    let (ours, theirs) = (spread(pairs.iter().map(|p| p.0)).0, spread(pairs.iter().map(|p| p.1)).0);
    let (mid, low, high) = spread(pairs.iter().map(|(a, b)| a / b));
    let n = pairs.len();
    println!("{name}: ours {ours:.digits$} {unit}, baseline {theirs:.digits$} {unit}, ratio {mid:.2} ({low:.2} to {high:.2}), {n} {times}");
}

/// Seconds of wall time and of processor time.
#[derive(Clone, Copy)]
pub struct Cost {
    pub wall: f64,
    pub cpu: f64,
}

fn cpu() -> f64 {
    let u = getrusage(UsageWho::RUSAGE_SELF).expect("usage of this process");
    (u.user_time() + u.system_time()).num_microseconds() as f64 / 1e6
}

/// What a piece of work costs this process.
pub fn cost(work: impl FnOnce()) -> Cost {
    let (c, t) = (cpu(), Instant::now());
    work();
    Cost { wall: t.elapsed().as_secs_f64(), cpu: cpu() - c }
}

const SEED: u64 = 20_261;
/// Mild words of ours; a post is drawn from them.
const WORDS: &str = "the bus was late again today and nobody told us why but coffee is warm people walk home after work \
    rain falls on green roofs children play football near the old station good morning neighbours thank you for the lovely \
    cake our team lost the match honestly this referee needs glasses wetter heute schön danke bom dia jogo ontem 날씨 좋아요 \
    今天 天气 很好 bonjour merci mausam acha shukriya погода хорошая #weekend @someone https://example.org/a";

/// Posts of mixed lengths as in social media: mostly under 40 words, a tail of long ones. Same seed, same posts, without end.
pub struct Posts {
    words: Vec<&'static str>,
    state: u64,
}

impl Posts {
    pub fn new() -> Posts {
        Posts { words: WORDS.split_whitespace().collect(), state: SEED }
    }

    fn draw(&mut self) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as usize
    }
}

impl Iterator for Posts {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let (kind, size) = (self.draw(), self.draw());
        let length = if kind % 10 < 7 { 4 + size % 24 } else if kind % 10 < 9 { 28 + size % 50 } else { 80 + size % 220 };
        let picks: Vec<usize> = (0..length).map(|_| self.draw() % self.words.len()).collect();
        Some(picks.into_iter().map(|i| self.words[i]).collect::<Vec<_>>().join(" "))
    }
}
