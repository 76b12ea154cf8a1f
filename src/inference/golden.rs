//! The whole way against the scores that the training recorded: text, features, both engines, damaged folders.

use super::text::{foreign_share, script, words};
use super::{Classifier, EngineKind, InferenceError, ModelFolder, Options, ngrams, onnxruntime_library};
use crate::domain::Scores;
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Case {
    text: String,
    normalised: String,
    foreign: f32,
    script: usize,
    features: usize,
    feature_sum: u64,
    occurrences: usize,
    ngram_logits: [f32; 3],
    scores_f32: [f32; 3],
    scores_int8: [f32; 3],
    label_f32: String,
}

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

fn folder() -> PathBuf {
    std::env::var_os("ANTIHATE_TEST_MODEL").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("models/text"), PathBuf::from)
}

fn cases() -> Vec<Case> {
    let f = ModelFolder::open(&folder()).expect("the model folder of the tree");
    let raw = f.read(&f.manifest().files.golden).expect("golden scores");
    serde_json::from_slice::<Golden>(&raw).expect("golden scores are JSON").cases
}

fn open(engine: EngineKind) -> Classifier {
    Classifier::open(&folder(), Options { engine, cache: 100, ..Options::default() }).expect("the model opens")
}

fn far(a: Scores, b: [f32; 3]) -> f32 {
    [(a.none, b[0]), (a.offensive, b[1]), (a.hate, b[2])].iter().map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

/// Scores of every case, each in a batch of its own, as the golden scores were made.
fn farthest(c: &mut Classifier, cases: &[Case], want: impl Fn(&Case) -> [f32; 3]) -> f32 {
    let one = |case: &Case, c: &mut Classifier| far(c.classify(&[case.text.as_str()]).expect("scores")[0].scores, want(case));
    cases.iter().map(|case| one(case, c)).fold(0.0, f32::max)
}

#[test]
fn every_model_folder_of_the_tree_is_whole() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let folders: Vec<PathBuf> = std::fs::read_dir(models).expect("models").flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    assert!(!folders.is_empty());
    for path in folders {
        let f = ModelFolder::open(&path).unwrap_or_else(|e| panic!("{}", e.problem().render()));
        let files = &f.manifest().files;
        for file in [&files.tokenizer, &files.ngrams, &files.golden, &files.encoder_f32, &files.encoder_int8] {
            f.read(file).unwrap_or_else(|e| panic!("{}", e.problem().render()));
        }
        assert!(path.join("MODEL_CARD.md").is_file(), "{} has no model card", path.display());
    }
}

#[test]
fn text_and_features_equal_those_of_the_training() {
    let f = ModelFolder::open(&folder()).expect("the model folder of the tree");
    let scorer = ngrams::Ngrams::parse(&f.read(&f.manifest().files.ngrams).expect("n-grams")).expect("n-grams");
    for (i, case) in cases().iter().enumerate() {
        let w = words(&case.text);
        assert_eq!(w.join(" "), case.normalised, "case {i}");
        assert!((foreign_share(&w) - case.foreign).abs() < 1e-5, "case {i}");
        assert_eq!(script(&w), case.script, "case {i}");
        let mut keys = ngrams::keys(&w);
        assert_eq!(keys.len(), case.occurrences, "case {i}");
        keys.sort_unstable();
        keys.dedup();
        assert_eq!((keys.len(), keys.iter().map(|k| u64::from(*k)).sum::<u64>()), (case.features, case.feature_sum), "case {i}");
        let logits = scorer.logits(&w);
        assert!(logits.iter().zip(case.ngram_logits).all(|(a, b)| (a - b).abs() < 1e-3), "case {i}: {logits:?}");
    }
}

#[test]
fn tract_gives_the_golden_scores_and_labels_alone_and_in_one_window() {
    let (cases, mut c) = (cases(), open(EngineKind::Tract));
    assert!(farthest(&mut c, &cases, |k| k.scores_f32) < 1e-3);
    let texts: Vec<&str> = cases.iter().map(|k| k.text.as_str()).collect();
    let mut fresh = open(EngineKind::Tract);
    for (i, (v, case)) in fresh.classify(&texts).expect("scores").iter().zip(&cases).enumerate() {
        assert!(far(v.scores, case.scores_f32) < 1e-3, "case {i} in a window");
        assert_eq!(v.label.as_str(), case.label_f32, "case {i}");
    }
}

#[test]
fn a_text_seen_before_is_answered_from_the_cache_with_the_same_verdict() {
    let mut c = open(EngineKind::Tract);
    let first = c.classify(&["The bus was late."]).expect("scores");
    let batches = c.stats().batches;
    assert_eq!(c.classify(&["the BUS  was late."]).expect("scores"), first);
    assert_eq!((c.stats().batches, c.stats().cached), (batches, 1));
}

#[test]
fn onnx_runtime_agrees_with_tract_and_with_its_golden_scores() {
    if onnxruntime_library().is_none() {
        println!("SKIPPED: ORT_DYLIB_PATH names no libonnxruntime.so, so ONNX Runtime was not compared");
        return;
    }
    let cases = cases();
    assert!(farthest(&mut open(EngineKind::OnnxruntimeF32), &cases, |k| k.scores_f32) < 1e-3);
    // Eight-bit kernels differ a little between processors.
    assert!(farthest(&mut open(EngineKind::OnnxruntimeInt8), &cases, |k| k.scores_int8) < 3e-2);
    let (mut a, mut b) = (open(EngineKind::OnnxruntimeF32), open(EngineKind::Tract));
    for case in &cases {
        let s = b.classify(&[case.text.as_str()]).expect("scores")[0].scores;
        assert!(far(a.classify(&[case.text.as_str()]).expect("scores")[0].scores, [s.none, s.offensive, s.hate]) < 1e-3);
    }
}

/// A folder with links to all files of the real one except those in `without`.
fn copy(without: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for e in std::fs::read_dir(folder()).expect("the model folder").flatten() {
        if e.path().is_file() && !without.contains(&e.file_name().to_string_lossy().as_ref()) {
            std::os::unix::fs::symlink(e.path(), dir.path().join(e.file_name())).expect("a link");
        }
    }
    dir
}

fn refused(dir: &Path) -> String {
    let e = Classifier::open(dir, Options::default()).err().expect("the folder is refused");
    let p = e.problem();
    assert!(!p.cause.is_empty() && !p.next.is_empty());
    p.code
}

#[test]
fn a_folder_with_a_missing_damaged_or_foreign_file_is_refused_with_its_code() {
    assert_eq!(refused(Path::new("/nonexistent")), "MOD-101");
    assert_eq!(refused(copy(&["tokenizer.json"]).path()), "MOD-103");
    let dir = copy(&["ngrams.bin"]);
    std::fs::write(dir.path().join("ngrams.bin"), b"AHNGRAM2").expect("a cut file");
    assert_eq!(refused(dir.path()), "MOD-104");
    let dir = copy(&["model.toml"]);
    let text = std::fs::read_to_string(folder().join("model.toml")).expect("model.toml");
    std::fs::write(dir.path().join("model.toml"), text.replace("format = 1", "format = 9")).expect("another format");
    assert_eq!(refused(dir.path()), "MOD-102");
}

#[test]
fn onnx_runtime_without_its_library_says_what_to_set() {
    let e = InferenceError::NoOnnxRuntime { reason: "not set".into() };
    assert_eq!(e.problem().code, "MOD-106");
    assert!(e.problem().next.contains("ORT_DYLIB_PATH"));
}
