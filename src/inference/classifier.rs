//! The whole way of a post for one thread: normalise, look up, tokenise, batch, compute, combine, decide.

use super::batch::{self, Limits};
use super::cache::Cache;
use super::folder::Manifest;
use super::ngrams::Ngrams;
use super::onnxruntime::OnnxRuntime;
use super::tract::Tract;
use super::{Engine, EngineKind, InferenceError, ModelFolder, Tensor, Tokens, text};
use crate::domain::{Label, Scores};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// How a classifier works.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What computes the encoder.
    pub engine: EngineKind,
    /// `MAX_SEQUENCE_LENGTH`, in tokens; the model's own limit holds too.
    pub max_length: usize,
    /// `BATCH_SIZE` and the token budget.
    pub limits: Limits,
    /// Verdicts that the score cache keeps in each of its two generations; 0 switches it off.
    pub cache: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { engine: EngineKind::Tract, max_length: 512, limits: Limits::default(), cache: 50_000 }
    }
}

/// What is said of one text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// The decision.
    pub label: Label,
    /// The probabilities behind it.
    pub scores: Scores,
}

/// Counters of one classifier since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Texts answered.
    pub posts: u64,
    /// Of these, answered from the score cache.
    pub cached: u64,
    /// Batches computed.
    pub batches: u64,
    /// Real tokens.
    pub tokens: u64,
    /// Tokens computed, padding included.
    pub computed: u64,
}

struct Shared {
    manifest: Manifest,
    tokens: Tokens,
    ngrams: Ngrams,
    limits: Limits,
    cache: Mutex<Cache>,
}

/// A classifier for one thread; [`Classifier::fork`] makes more that share the model and the cache.
pub struct Classifier {
    shared: Arc<Shared>,
    engine: Box<dyn Engine>,
    stats: Stats,
}

impl Classifier {
    /// Opens a model folder, checks the files that are needed and makes the engine ready.
    pub fn open(folder: &Path, options: Options) -> Result<Classifier, InferenceError> {
        let folder = ModelFolder::open(folder)?;
        let m = folder.manifest().clone();
        let longest = options.max_length.clamp(8, m.max_length);
        let tokens = Tokens::parse(&folder.locate(&m.files.tokenizer), &folder.read(&m.files.tokenizer)?, longest)?;
        let bad = |reason| InferenceError::BadFile { path: folder.locate(&m.files.ngrams), reason };
        let ngrams = Ngrams::parse(&folder.read(&m.files.ngrams)?).map_err(bad)?;
        let engine = engine(&folder, options.engine)?;
        let cache = Mutex::new(Cache::new(&m.id(), options.cache));
        Ok(Classifier { shared: Arc::new(Shared { manifest: m, tokens, ngrams, limits: options.limits, cache }), engine, stats: Stats::default() })
    }

    /// Another classifier for another thread.
    pub fn fork(&self) -> Result<Classifier, InferenceError> {
        Ok(Classifier { shared: self.shared.clone(), engine: self.engine.fork()?, stats: Stats::default() })
    }

    /// `name@version` of the model.
    pub fn model(&self) -> String {
        self.shared.manifest.id()
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Verdicts in the order of `texts`. Give it a window of some hundred posts: it sorts and batches them itself.
    pub fn classify(&mut self, texts: &[&str]) -> Result<Vec<Verdict>, InferenceError> {
        let shared = self.shared.clone();
        let posts: Vec<Prepared> = texts.iter().map(|t| shared.prepare(t)).collect();
        let missing: Vec<usize> = (0..posts.len()).filter(|i| posts[*i].known.is_none()).collect();
        let ids: Vec<Vec<u32>> = missing.iter().map(|i| shared.tokens.ids(&posts[*i].normalised)).collect();
        let logits = self.encode(&ids)?;
        let mut out: Vec<Option<Verdict>> = posts.iter().map(|p| p.known).collect();
        for (i, encoder) in missing.iter().zip(logits) {
            out[*i] = Some(shared.decide(&posts[*i], encoder));
        }
        self.stats.posts += texts.len() as u64;
        self.stats.cached += (texts.len() - missing.len()) as u64;
        Ok(out.into_iter().flatten().collect())
    }

    /// Encoder logits of tokenised posts, in their order.
    pub fn encode(&mut self, ids: &[Vec<u32>]) -> Result<Vec<[f32; 3]>, InferenceError> {
        let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
        let mut out = vec![[0f32; 3]; ids.len()];
        for b in batch::plan(&lengths, self.shared.limits) {
            let rows: Vec<&[u32]> = b.rows.iter().map(|i| ids[*i].as_slice()).collect();
            let got = self.engine.run(&Tensor::pad(&rows, b.width))?;
            for (i, logits) in b.rows.iter().zip(got) {
                out[*i] = logits;
            }
            self.stats.batches += 1;
            self.stats.computed += b.tokens() as u64;
        }
        self.stats.tokens += lengths.iter().sum::<usize>() as u64;
        Ok(out)
    }

    /// Computes one padded tensor as it is; for comparing engines.
    pub fn run(&mut self, tensor: &Tensor) -> Result<Vec<[f32; 3]>, InferenceError> {
        self.engine.run(tensor)
    }
}

fn engine(folder: &ModelFolder, kind: EngineKind) -> Result<Box<dyn Engine>, InferenceError> {
    let files = &folder.manifest().files;
    let file = if kind == EngineKind::OnnxruntimeInt8 { &files.encoder_int8 } else { &files.encoder_f32 };
    let (path, raw) = (folder.locate(file), folder.read(file)?);
    Ok(match kind {
        EngineKind::Tract => Box::new(Tract::load(&path, &raw)?),
        EngineKind::OnnxruntimeInt8 | EngineKind::OnnxruntimeF32 => Box::new(OnnxRuntime::load(&path, Arc::new(raw))?),
    })
}

/// A text on its way, with the verdict if it was seen before.
struct Prepared {
    words: Vec<String>,
    normalised: String,
    key: u128,
    known: Option<Verdict>,
}

impl Shared {
    fn prepare(&self, raw: &str) -> Prepared {
        let words = text::words(raw);
        let normalised = words.join(" ");
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let key = cache.key(&normalised);
        let known = cache.get(key);
        Prepared { words, normalised, key, known }
    }

    fn decide(&self, post: &Prepared, encoder: [f32; 3]) -> Verdict {
        let (ngrams, foreign) = (self.ngrams.logits(&post.words), text::foreign_share(&post.words));
        let scores = self.manifest.combination.scores(encoder, ngrams, foreign, text::script(&post.words));
        let verdict = Verdict { label: self.manifest.decision.label(&scores), scores };
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).put(post.key, verdict);
        verdict
    }
}
