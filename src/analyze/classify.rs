//! The classifier as the analyzer sees it, and a pool of them, one a thread.

use crate::inference::{Classifier, Verdict};
use crate::status::Problem;
use std::sync::{Arc, Mutex};

/// Whatever says what a text is. Blocking.
pub trait Classify: Send + Sync {
    /// Verdicts in the order of `texts`.
    fn classify(&self, texts: &[&str]) -> Result<Vec<Verdict>, Problem>;
    /// `name@version` of the model.
    fn model(&self) -> String;
}

/// One single-threaded classifier a core; a window is shared out among them.
pub struct Pool {
    members: Vec<Mutex<Classifier>>,
    model: String,
}

impl Pool {
    /// A pool of `threads` classifiers that share the model and the score cache.
    pub fn new(first: Classifier, threads: usize) -> Result<Pool, Problem> {
        let model = first.model();
        let mut members = Vec::new();
        for _ in 1..threads.max(1) {
            members.push(Mutex::new(first.fork().map_err(Problem::from)?));
        }
        members.push(Mutex::new(first));
        Ok(Pool { members, model })
    }
}

impl Classify for Pool {
    /// Each member takes every n-th text, so that long and short ones are spread evenly.
    fn classify(&self, texts: &[&str]) -> Result<Vec<Verdict>, Problem> {
        let n = self.members.len().min(texts.len().div_ceil(16)).max(1);
        let share = |i: usize| texts.iter().skip(i).step_by(n).copied().collect::<Vec<&str>>();
        let parts: Vec<Result<Vec<Verdict>, Problem>> = std::thread::scope(|scope| {
            let work = |i: usize| self.members[i].lock().unwrap_or_else(|e| e.into_inner()).classify(&share(i)).map_err(Problem::from);
            let others: Vec<_> = (1..n).map(|i| scope.spawn(move || work(i))).collect();
            let first = work(0);
            let died = || Problem::new("ANA-105", "A classifier's thread died.", "It panicked.", "The analyzer starts again by itself; report the log.");
            std::iter::once(first).chain(others.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(died())))).collect()
        });
        let mut parts: Vec<_> = parts.into_iter().map(|p| p.map(Vec::into_iter)).collect::<Result<_, _>>()?;
        Ok((0..texts.len()).filter_map(|i| parts[i % n].next()).collect())
    }

    fn model(&self) -> String {
        self.model.clone()
    }
}

/// Classifies a window; where the whole fails, each text alone. Only if all of them fail is it the classifier's fault.
pub(super) fn window(classifier: &Arc<dyn Classify>, texts: &[String]) -> Result<Vec<Option<Verdict>>, Problem> {
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    let whole = match all.is_empty() {
        true => return Ok(Vec::new()),
        false => classifier.classify(&all),
    };
    match whole {
        Ok(verdicts) if verdicts.len() == all.len() => Ok(verdicts.into_iter().map(Some).collect()),
        Ok(_) => Err(Problem::new("ANA-106", "The classifier gave too few answers.", "Its engine is at fault.", "Report the log; the messages stay in the topic.")),
        Err(problem) => {
            let each: Vec<Option<Verdict>> = all.iter().map(|t| classifier.classify(&[t]).ok().and_then(|v| v.into_iter().next())).collect();
            if each.iter().all(Option::is_none) { Err(problem) } else { Ok(each) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Label, Scores};

    struct Fails(&'static str);

    impl Classify for Fails {
        fn classify(&self, texts: &[&str]) -> Result<Vec<Verdict>, Problem> {
            if texts.iter().any(|t| t.contains(self.0)) {
                return Err(Problem::new("T", "t", "t", "t"));
            }
            Ok(vec![Verdict { label: Label::None, scores: Scores { none: 1.0, offensive: 0.0, hate: 0.0 } }; texts.len()])
        }

        fn model(&self) -> String {
            "fails@1".into()
        }
    }

    #[test]
    fn one_text_that_cannot_be_classified_does_not_spoil_its_window() {
        let c: Arc<dyn Classify> = Arc::new(Fails("bad"));
        let got = window(&c, &["good".into(), "bad".into(), "good".into()]).unwrap();
        assert_eq!(got.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn a_classifier_that_fails_for_all_is_at_fault_itself() {
        let c: Arc<dyn Classify> = Arc::new(Fails(""));
        assert!(window(&c, &["a".into(), "b".into()]).is_err());
    }
}
