//! The layer that joins encoder and n-grams, and the decision for a label. Pure.

use super::text::SCRIPTS;
use crate::domain::{Label, Scores};
use serde::Deserialize;

/// Inputs of the layer: centred encoder logits (3), n-gram logits (3), both times the foreign share (6), and 1 for the
/// script of the text if it is not the first (4).
pub const INPUTS: usize = 12 + SCRIPTS - 1;

/// Weights of the layer as `model.toml` has them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Combination {
    /// One row an input, columns none, offensive, hate.
    pub weights: [[f32; 3]; INPUTS],
    /// Added to each label.
    pub bias: [f32; 3],
}

/// Thresholds picked on the development split.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Hate when its probability is above this.
    pub hate: f32,
    /// Otherwise offensive when its part of none and offensive is above this.
    pub offensive_of_rest: f32,
}

fn centred(x: [f32; 3]) -> [f32; 3] {
    let mean = (x[0] + x[1] + x[2]) / 3.0;
    x.map(|v| v - mean)
}

impl Combination {
    /// Probabilities from both logits, the foreign share (0 to 1) and the script (0 to 4).
    pub fn scores(&self, encoder: [f32; 3], n: [f32; 3], foreign: f32, script: usize) -> Scores {
        let e = centred(encoder);
        let mut x = [0f32; INPUTS];
        for i in 0..3 {
            (x[i], x[3 + i], x[6 + i], x[9 + i]) = (e[i], n[i], foreign * e[i], foreign * n[i]);
        }
        if script > 0 {
            x[11 + script] = 1.0;
        }
        let mut z = self.bias;
        for (v, row) in x.iter().zip(&self.weights) {
            for (z, w) in z.iter_mut().zip(row) {
                *z += v * w;
            }
        }
        let top = z.iter().copied().fold(f32::MIN, f32::max);
        let e = z.map(|v| (v - top).exp());
        let sum: f32 = e.iter().sum();
        Scores { none: e[0] / sum, offensive: e[1] / sum, hate: e[2] / sum }
    }
}

impl Decision {
    /// The label that stands for the scores.
    pub fn label(&self, s: &Scores) -> Label {
        if s.hate > self.hate {
            Label::Hate
        } else if s.offensive > self.offensive_of_rest * (s.none + s.offensive) {
            Label::Offensive
        } else {
            Label::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decision_looks_at_hate_first_and_then_at_the_rest() {
        let d = Decision { hate: 0.4, offensive_of_rest: 0.5 };
        let label = |none, offensive, hate| d.label(&Scores { none, offensive, hate });
        assert_eq!(label(0.5, 0.05, 0.45), Label::Hate);
        assert_eq!(label(0.25, 0.4, 0.35), Label::Offensive);
        assert_eq!(label(0.4, 0.25, 0.35), Label::None);
    }

    #[test]
    fn scores_add_up_to_one_and_ignore_a_shift_of_the_encoder() {
        let mut c = Combination { weights: [[0.0; 3]; INPUTS], bias: [0.1, 0.0, -0.1] };
        for i in 0..3 {
            c.weights[i][i] = 1.0;
        }
        let (a, b) = (c.scores([1.0, 2.0, 3.0], [0.5; 3], 0.5, 0), c.scores([11.0, 12.0, 13.0], [0.5; 3], 0.5, 4));
        assert!((a.none + a.offensive + a.hate - 1.0).abs() < 1e-6);
        assert!((a.hate - b.hate).abs() < 1e-6);
    }
}
