//! The layer that joins encoder and n-grams, and the decision for a label. Pure.

use crate::domain::{Label, Scores};
use serde::Deserialize;

/// Inputs of the layer: encoder logits (3), n-gram logits (3), then for each of the three script shares these six
/// times the share, and the share.
pub const INPUTS: usize = 27;

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
    /// Hate when its probability is above these (Latin, Han, Hangul, other), blended by the shares of the scripts.
    pub hate: [f32; 4],
    /// Otherwise offensive when its part of none and offensive is above this.
    pub offensive_of_rest: f32,
}

fn centred(x: [f32; 3]) -> [f32; 3] {
    let mean = (x[0] + x[1] + x[2]) / 3.0;
    x.map(|v| v - mean)
}

impl Combination {
    /// Probabilities from both logits and the script shares (each 0 to 1).
    pub fn scores(&self, encoder: [f32; 3], ngrams: [f32; 3], shares: [f32; 3]) -> Scores {
        let both: Vec<f32> = centred(encoder).into_iter().chain(centred(ngrams)).collect();
        let scaled = shares.iter().flat_map(|share| both.iter().map(move |v| v * share).chain([*share]));
        let x: Vec<f32> = both.iter().copied().chain(scaled).collect();
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
    /// The label that stands for the scores of a text with these script shares.
    pub fn label(&self, s: &Scores, shares: [f32; 3]) -> Label {
        let latin = self.hate[0];
        let limit = latin + shares.iter().zip(&self.hate[1..]).map(|(share, t)| share * (t - latin)).sum::<f32>();
        if s.hate > limit {
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
        let d = Decision { hate: [0.4, 0.6, 0.4, 0.4], offensive_of_rest: 0.5 };
        let label = |none, offensive, hate| d.label(&Scores { none, offensive, hate }, [0.0; 3]);
        assert_eq!(label(0.5, 0.05, 0.45), Label::Hate);
        assert_eq!(label(0.25, 0.4, 0.35), Label::Offensive);
        assert_eq!(label(0.4, 0.25, 0.35), Label::None);
        let han = d.label(&Scores { none: 0.5, offensive: 0.05, hate: 0.45 }, [1.0, 0.0, 0.0]);
        assert_eq!(han, Label::None, "Han has a threshold of its own");
    }

    #[test]
    fn scores_add_up_to_one_and_ignore_a_shift_of_all_logits() {
        let mut c = Combination { weights: [[0.0; 3]; INPUTS], bias: [0.1, 0.0, -0.1] };
        for i in 0..3 {
            c.weights[i][i] = 1.0;
        }
        let (a, b) = (c.scores([1.0, 2.0, 3.0], [0.0; 3], [0.5; 3]), c.scores([11.0, 12.0, 13.0], [5.0; 3], [0.5; 3]));
        assert!((a.none + a.offensive + a.hate - 1.0).abs() < 1e-6);
        assert!((a.hate - b.hate).abs() < 1e-6);
    }
}
