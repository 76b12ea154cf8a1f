//! The batch planner: which posts go together, and how wide. Pure, so that it is judged by tests alone.
//!
//! A window of posts is sorted by length and cut by a token budget; every batch is as wide as its longest post,
//! rounded up. First-in-first-out batches compute three to five times the real tokens; these about 1.1 times.

/// Limits of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most posts in a batch (`BATCH_SIZE`).
    pub posts: usize,
    /// Most tokens in a batch, padding included; one post alone may exceed it.
    pub tokens: usize,
    /// Widths are multiples of this.
    pub multiple: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { posts: 32, tokens: 4096, multiple: 8 }
    }
}

/// One padded tensor to compute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Indices into the window, shortest first.
    pub rows: Vec<usize>,
    /// Tokens of each row, padding included.
    pub width: usize,
}

impl Batch {
    /// Tokens computed, padding included.
    pub fn tokens(&self) -> usize {
        self.rows.len() * self.width
    }
}

/// Splits a window of posts with the given token counts into batches; every index occurs exactly once.
pub fn plan(lengths: &[usize], limits: Limits) -> Vec<Batch> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|i| lengths[*i]);
    let mut out: Vec<Batch> = Vec::new();
    for i in order {
        let width = lengths[i].max(1).next_multiple_of(limits.multiple.max(1));
        let fits = |b: &Batch| b.rows.len() < limits.posts && width * (b.rows.len() + 1) <= limits.tokens && worth(b, width);
        match out.last_mut().filter(|b| fits(b)) {
            Some(b) => {
                b.rows.push(i);
                b.width = width;
            }
            None => out.push(Batch { rows: vec![i], width }),
        }
    }
    out
}

/// Widening a batch pads all its rows again: not worth it once that adds more than a new call costs (about 64 tokens).
fn worth(b: &Batch, width: usize) -> bool {
    (width - b.width) * b.rows.len() <= 64
}

/// Tokens computed over real tokens: 1 is perfect.
pub fn waste(lengths: &[usize], batches: &[Batch]) -> f64 {
    let real: usize = lengths.iter().sum();
    batches.iter().map(Batch::tokens).sum::<usize>() as f64 / real.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_and_long_posts_do_not_share_a_batch() {
        let got = plan(&[500, 7, 8, 6], Limits::default());
        assert_eq!(got, [Batch { rows: vec![3, 1, 2], width: 8 }, Batch { rows: vec![0], width: 504 }]);
    }

    #[test]
    fn the_number_of_posts_is_capped() {
        let sizes: Vec<usize> = plan(&[5; 70], Limits::default()).iter().map(|b| b.rows.len()).collect();
        assert_eq!(sizes, [32, 32, 6]);
    }

    #[test]
    fn an_empty_window_needs_no_batch() {
        assert!(plan(&[], Limits::default()).is_empty());
    }

    proptest! {
        #[test]
        fn every_post_is_computed_once_within_the_limits(lengths in proptest::collection::vec(1usize..513, 0..300)) {
            let limits = Limits::default();
            let got = plan(&lengths, limits);
            let mut seen: Vec<usize> = got.iter().flat_map(|b| b.rows.clone()).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for b in &got {
                prop_assert!(b.rows.len() <= limits.posts && b.width % limits.multiple == 0);
                prop_assert!(b.tokens() <= limits.tokens || b.rows.len() == 1);
                prop_assert!(b.rows.iter().all(|i| lengths[*i] <= b.width));
            }
        }
    }
}
