//! The port to what computes the encoder: a padded tensor in, three logits a row out.

use super::InferenceError;
use serde::{Deserialize, Serialize};

/// Which engine computes, and from which weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// tract in single precision: nothing dynamic, works in a static program.
    #[default]
    Tract,
    /// ONNX Runtime with eight-bit weights: the fast one of the analyzer image.
    OnnxruntimeInt8,
    /// ONNX Runtime in single precision.
    OnnxruntimeF32,
}

impl EngineKind {
    /// Every engine.
    pub const ALL: [EngineKind; 3] = [EngineKind::Tract, EngineKind::OnnxruntimeInt8, EngineKind::OnnxruntimeF32];

    /// The engine's word in settings: `tract`, `onnxruntime-int8`, `onnxruntime-f32`.
    pub fn as_str(self) -> &'static str {
        match self {
            EngineKind::Tract => "tract",
            EngineKind::OnnxruntimeInt8 => "onnxruntime-int8",
            EngineKind::OnnxruntimeF32 => "onnxruntime-f32",
        }
    }
}

impl std::str::FromStr for EngineKind {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        EngineKind::ALL
            .into_iter()
            .find(|k| k.as_str() == s)
            .ok_or_else(|| format!("unknown engine {s:?}; known: tract, onnxruntime-int8, onnxruntime-f32"))
    }
}

/// A padded batch: `rows` x `width`, row after row.
#[derive(Clone, Debug, Default)]
pub struct Tensor {
    /// Number of posts.
    pub rows: usize,
    /// Tokens of each.
    pub width: usize,
    /// Token numbers, 0 where padded.
    pub ids: Vec<i64>,
    /// 1 for a token, 0 for padding.
    pub mask: Vec<i64>,
}

impl Tensor {
    /// Pads the given posts to `width` tokens each; none may be longer.
    pub fn pad(posts: &[&[u32]], width: usize) -> Tensor {
        let mut t = Tensor { rows: posts.len(), width, ids: vec![0; posts.len() * width], mask: vec![0; posts.len() * width] };
        for (r, post) in posts.iter().enumerate() {
            for (c, id) in post.iter().enumerate() {
                t.ids[r * width + c] = i64::from(*id);
                t.mask[r * width + c] = 1;
            }
        }
        t
    }
}

/// One single-threaded encoder; each worker has its own.
pub trait Engine: Send {
    /// Logits of none, offensive and hate for each row.
    fn run(&mut self, batch: &Tensor) -> Result<Vec<[f32; 3]>, InferenceError>;
    /// Another one of the same for another thread; what can be shared is shared.
    fn fork(&self) -> Result<Box<dyn Engine>, InferenceError>;
}
