//! The encoder in tract: nothing dynamic, one plan for all threads and all shapes.
//!
//! The graph is loaded with symbols for both dimensions, its constants are folded once, and the optimised plan is
//! shared; each worker has only the buffers of the run in progress.

use super::engine::Tensor;
use super::{Engine, InferenceError};
use std::path::Path;
use std::sync::Arc;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::dims;

/// A handle on the shared plan.
#[derive(Clone)]
pub struct Tract {
    plan: Arc<TypedRunnableModel>,
}

impl Tract {
    /// Loads the ONNX file `model`, whose `path` is for messages.
    pub fn load(path: &Path, model: &[u8]) -> Result<Tract, InferenceError> {
        let plan = build(model).map_err(|e| InferenceError::BadFile { path: path.to_owned(), reason: format!("{e:#}") })?;
        Ok(Tract { plan })
    }

    fn compute(&self, t: &Tensor) -> TractResult<Vec<[f32; 3]>> {
        let shape = [t.rows, t.width];
        let ids = tract_onnx::prelude::Tensor::from_shape(&shape, &t.ids)?;
        let mask = tract_onnx::prelude::Tensor::from_shape(&shape, &t.mask)?;
        let out = self.plan.run(tvec!(ids.into(), mask.into()))?;
        let logits = out[0].to_plain_array_view::<f32>()?;
        Ok(logits.rows().into_iter().map(|r| [r[0], r[1], r[2]]).collect())
    }
}

fn build(model: &[u8]) -> TractResult<Arc<TypedRunnableModel>> {
    let mut raw = onnx().model_for_read(&mut std::io::Cursor::new(model))?;
    let (rows, width) = (raw.symbols.sym("B"), raw.symbols.sym("S"));
    for i in 0..2 {
        raw.set_input_fact(i, i64::fact(dims!(rows, width)).into())?;
    }
    raw.into_optimized()?.into_runnable()
}

impl Engine for Tract {
    fn run(&mut self, t: &Tensor) -> Result<Vec<[f32; 3]>, InferenceError> {
        let failed = |reason: String| InferenceError::Run { engine: "tract", rows: t.rows, width: t.width, reason };
        self.compute(t).map_err(|e| failed(format!("{e:#}")))
    }

    fn fork(&self) -> Result<Box<dyn Engine>, InferenceError> {
        Ok(Box::new(self.clone()))
    }
}
