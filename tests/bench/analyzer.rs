//! Benchmarks A1 to A5: the analyzer's engine and its way from text to label, beside Python doing the same.
//!
//! `appliance/bench A1 A3`, or `ORT_DYLIB_PATH=… ANTIHATE_BENCH_PYTHON=… cargo bench --bench analyzer [-- A1 A3]`
//! The Python needs `pip install -r tests/bench/requirements.txt`; its onnxruntime also carries the library to name.
//! Pairs are interleaved; a line gives both sides and the median of the pairs' ratios with minimum and maximum.
//! It records and never fails for being slow.

#[allow(dead_code)] // every benchmark takes what it needs
mod measure;

use antihate::inference::batch::{Limits, plan, waste};
use antihate::inference::{Classifier, EngineKind, ModelFolder, Options, Tensor, onnxruntime_library, text};
use measure::{Asked, Cost, Posts, cost, figure, pairs, tokenizer};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const POSTS: usize = 1200;
const WINDOW: usize = 300;

fn main() {
    let asked = Asked::read();
    if !asked.wants_any(&["A1", "A2", "A3", "A4", "A5"]) {
        return;
    }
    let model = measure::model();
    let posts: Vec<String> = Posts::new().take(POSTS).collect();
    if asked.wants("A5") {
        a5(&model, &posts);
    }
    if onnxruntime_library().is_none() {
        println!("A1 A2 A3 A4: not measured, ORT_DYLIB_PATH names no libonnxruntime.so");
        return;
    }
    if asked.wants("A4") {
        a4(&model, &posts);
    }
    if asked.wants_any(&["A1", "A2", "A3"]) {
        beside_python(&asked, &model, &posts);
    }
}

fn beside_python(asked: &Asked, model: &Path, posts: &[String]) {
    let Some(mut python) = Python::start(model, posts) else {
        println!("A1 A2 A3: no baseline; ANTIHATE_BENCH_PYTHON must be a Python with tests/bench/requirements.txt installed");
        return;
    };
    if asked.wants("A1") {
        a1(model, &mut python);
    }
    for (id, kind) in [("A2", "fifo"), ("A3", "sorted")] {
        if asked.wants(id) {
            whole_way(id, kind, model, posts, &mut python);
        }
    }
}

/// The reference side: a child that does one measured piece of work for each line that it reads.
struct Python {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    _posts: tempfile::NamedTempFile,
}

impl Python {
    fn start(model: &Path, posts: &[String]) -> Option<Python> {
        let mut file = tempfile::NamedTempFile::new().ok()?;
        file.write_all(&serde_json::to_vec(posts).ok()?).ok()?;
        let name = std::env::var("ANTIHATE_BENCH_PYTHON").unwrap_or_else(|_| "python3".into());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/baseline.py");
        let mut child =
            Command::new(name).arg(script).arg(model).arg(file.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (to, from) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        let mut python = Python { child, to, from, _posts: file };
        match python.line() {
            Some(l) if l.trim() == "ready" => Some(python),
            _ => None,
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut l = String::new();
        (self.from.read_line(&mut l).ok()? > 0).then_some(l)
    }

    fn ask(&mut self, what: &str) -> Cost {
        writeln!(self.to, "{what}").expect("the baseline listens");
        let l = self.line().expect("the baseline answers");
        let mut n = l.split_whitespace().map(|v| v.parse::<f64>().expect("a number"));
        Cost { wall: n.next().expect("wall time"), cpu: n.next().expect("processor time") }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The child ends by itself when its input closes; this only makes sure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs pairs A B A B and prints `amount` a second of both sides.
fn compare(name: &str, unit: &str, amount: f64, by_cpu: bool, mut ours: impl FnMut() -> Cost, mut theirs: impl FnMut() -> Cost) {
    let rate = |c: Cost| amount / if by_cpu { c.cpu } else { c.wall };
    let measured: Vec<(f64, f64)> = (0..pairs()).map(|_| (rate(ours()), rate(theirs()))).collect();
    figure(name, (unit, 0), "pairs", &measured);
}

fn open(model: &Path, engine: EngineKind) -> Classifier {
    Classifier::open(model, Options { engine, cache: 0, ..Options::default() }).unwrap_or_else(|e| panic!("{}", e.problem().render()))
}

fn a1(model: &Path, python: &mut Python) {
    let mut c = open(model, EngineKind::OnnxruntimeInt8);
    for (rows, width, times) in [(1, 32, 60), (32, 32, 4), (32, 128, 1), (8, 512, 1)] {
        let ids: Vec<u32> = (0..rows * width).map(|i| 1000 + (i * 7919 % 28_000) as u32).collect();
        let posts: Vec<&[u32]> = ids.chunks(width).collect();
        let tensor = Tensor::pad(&posts, width);
        let mut run = |n: usize| cost(|| (0..n).for_each(|_| drop(c.run(&tensor).expect("logits"))));
        run(1);
        let ask = format!("tensor {rows} {width} {times}");
        python.ask(&ask);
        let amount = (rows * width * times) as f64;
        compare(&format!("A1 engine, int8, one thread, ({rows},{width})"), "tokens per CPU-second", amount, true, || run(times), || python.ask(&ask));
    }
}

/// Text in, label out, with two threads that take windows from one list.
fn classify(workers: &mut [Classifier], posts: &[String]) -> Cost {
    let windows: Vec<Vec<&str>> = posts.chunks(WINDOW).map(|w| w.iter().map(String::as_str).collect()).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    cost(|| {
        std::thread::scope(|s| {
            for c in workers.iter_mut() {
                s.spawn(|| {
                    while let Some(w) = windows.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                        c.classify(w).expect("verdicts");
                    }
                });
            }
        });
    })
}

fn whole_way(id: &str, kind: &str, model: &Path, posts: &[String], python: &mut Python) {
    let one = open(model, EngineKind::OnnxruntimeInt8);
    let mut workers = [one.fork().expect("a second session"), one];
    let what = format!("{id} text to label, int8, two threads, {POSTS} posts, baseline {kind}");
    classify(&mut workers, &posts[..WINDOW]);
    compare(&what, "posts/s", POSTS as f64, false, || classify(&mut workers, posts), || python.ask(kind));
}

fn a4(model: &Path, posts: &[String]) {
    let (mut int8, mut f32) = ([open(model, EngineKind::OnnxruntimeInt8)], [open(model, EngineKind::OnnxruntimeF32)]);
    let part = &posts[..WINDOW];
    let n = part.len() as f64;
    let what = "A4 int8 against f32 in ONNX Runtime, one thread, text to label";
    compare(what, "posts per CPU-second", n, true, || classify(&mut int8, part), || classify(&mut f32, part));
    let mut tract = [open(model, EngineKind::Tract)];
    let what = "A4 tract f32 against f32 in ONNX Runtime, one thread, text to label";
    compare(what, "posts per CPU-second", n, true, || classify(&mut tract, part), || classify(&mut f32, part));
    let folder = ModelFolder::open(model).unwrap_or_else(|e| panic!("{}", e.problem().render()));
    for (lang, a) in folder.manifest().accuracy.iter().filter(|(_, a)| a.posts >= 200) {
        println!("A4 macro-F1 {lang}: int8 {:.4}, f32 {:.4}, difference {:+.4} (recorded with the model)", a.int8, a.f32, a.int8 - a.f32);
    }
}

fn a5(model: &Path, posts: &[String]) {
    let tokens = tokenizer(model);
    let lengths: Vec<usize> = posts.iter().map(|p| tokens.ids(&text::normalise(p)).len()).collect();
    let fifo: usize = lengths.chunks(32).map(|c| c.iter().max().copied().unwrap_or(0) * c.len()).sum();
    let real: usize = lengths.iter().sum();
    for window in [64, WINDOW] {
        let computed: f64 = lengths.chunks(window).map(|w| waste(w, &plan(w, Limits::default())) * w.iter().sum::<usize>() as f64).sum();
        let (ours, theirs) = (computed / real as f64, fifo as f64 / real as f64);
        println!("A5 tokens computed over real tokens, window {window}: ours {ours:.3}, first in first out by 32 {theirs:.3}, ratio {:.2}", ours / theirs);
    }
}
