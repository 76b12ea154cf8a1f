//! The encoder in ONNX Runtime, loaded from a shared library at run time: one single-threaded session a worker.
//!
//! Never used by a static program, which cannot load libraries: there it answers with a clear problem.

use super::engine::Tensor;
use super::{Engine, InferenceError};
use ort::environment::Environment;
use ort::session::Session;
use ort::value::TensorRef;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The library named by ORT_DYLIB_PATH, if it is set and there.
pub fn library() -> Option<PathBuf> {
    std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from).filter(|p| p.is_file())
}

fn environment() -> Result<&'static Environment, InferenceError> {
    static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();
    let made = ENVIRONMENT.get_or_init(|| {
        if cfg!(target_feature = "crt-static") {
            return Err("This program is static and cannot load libraries.".into());
        }
        let path = library().ok_or("ORT_DYLIB_PATH is not set, or names no file.")?;
        let builder = ort::init_from(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        builder.with_name("antihate").with_telemetry(false).build().map_err(|e| e.to_string())
    });
    made.as_ref().map_err(|reason| InferenceError::NoOnnxRuntime { reason: reason.clone() })
}

/// One session; the bytes of the model are kept to make more.
pub struct OnnxRuntime {
    session: Session,
    path: PathBuf,
    model: Arc<Vec<u8>>,
}

impl OnnxRuntime {
    /// Loads the ONNX file `model`, whose `path` is for messages.
    pub fn load(path: &Path, model: Arc<Vec<u8>>) -> Result<OnnxRuntime, InferenceError> {
        let bad = |e: String| InferenceError::BadFile { path: path.to_owned(), reason: e };
        let mut builder = Session::builder(environment()?)
            .and_then(|b| Ok(b.with_intra_threads(1)?))
            .and_then(|b| Ok(b.with_inter_threads(1)?))
            .map_err(|e| bad(e.to_string()))?;
        let session = builder.commit_from_memory(&model).map_err(|e| bad(e.to_string()))?;
        Ok(OnnxRuntime { session, path: path.to_owned(), model })
    }

    fn compute(&mut self, t: &Tensor) -> ort::Result<Vec<[f32; 3]>> {
        let shape = [t.rows as i64, t.width as i64];
        let ids = TensorRef::from_array_view((shape, t.ids.as_slice()))?;
        let mask = TensorRef::from_array_view((shape, t.mask.as_slice()))?;
        let out = self.session.run(ort::inputs!["input_ids" => ids, "attention_mask" => mask])?;
        let (_, logits) = out["logits"].try_extract_tensor::<f32>()?;
        Ok(logits.chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect())
    }
}

impl Engine for OnnxRuntime {
    fn run(&mut self, t: &Tensor) -> Result<Vec<[f32; 3]>, InferenceError> {
        let failed = |reason: String| InferenceError::Run { engine: "ONNX Runtime", rows: t.rows, width: t.width, reason };
        let got = self.compute(t).map_err(|e| failed(e.to_string()))?;
        if got.len() == t.rows { Ok(got) } else { Err(failed(format!("it answered {} rows", got.len()))) }
    }

    fn fork(&self) -> Result<Box<dyn Engine>, InferenceError> {
        Ok(Box::new(OnnxRuntime::load(&self.path, self.model.clone())?))
    }
}
