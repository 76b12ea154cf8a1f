//! From messages to a flush: pure bookkeeping of offsets, poison and results.

use super::AnalyzeError;
use crate::domain::{Analysis, Quarantined};
use crate::inference::Verdict;
use crate::queue::Received;
use crate::store::{Flush, Span};
use crate::wire::QueueMessage;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// Bytes of a poisonous message that are kept.
const KEPT: usize = 64 * 1024;

/// Which offset of each partition comes next.
#[derive(Debug, Default)]
pub struct Tracker(BTreeMap<i32, i64>);

impl Tracker {
    /// A partition begins at `offset`.
    pub fn begin(&mut self, partition: i32, offset: i64) {
        self.0.insert(partition, offset);
    }

    /// Puts messages into a window; the offsets must rise, gaps become lost messages.
    pub fn window(&mut self, messages: Vec<Received>) -> Result<Window, AnalyzeError> {
        let mut window = Window::default();
        for m in messages {
            let next = self.0.entry(m.partition).or_insert(0);
            if m.offset < *next {
                return Err(AnalyzeError::WentBack { partition: m.partition, offset: m.offset });
            }
            let fresh = Span { partition: m.partition, from: *next, to: *next, seen: 0 };
            let span = window.spans.entry(m.partition).or_insert(fresh);
            (span.to, span.seen) = (m.offset + 1, span.seen + 1);
            *next = m.offset + 1;
            match QueueMessage::decode(&m.payload) {
                Ok(message) => window.messages.push((m.partition, m.offset, message)),
                Err(reason) => window.set_aside.push(aside(m.partition, m.offset, reason, &m.payload)),
            }
        }
        Ok(window)
    }
}

fn aside(partition: i32, offset: i64, reason: &str, raw: &[u8]) -> Quarantined {
    Quarantined { partition, offset, reason: reason.into(), raw: raw[..raw.len().min(KEPT)].to_vec() }
}

/// Messages that are classified and stored together.
#[derive(Debug, Default)]
pub struct Window {
    messages: Vec<(i32, i64, QueueMessage)>,
    set_aside: Vec<Quarantined>,
    spans: BTreeMap<i32, Span>,
}

impl Window {
    /// The texts to classify, in order.
    pub fn texts(&self) -> Vec<String> {
        self.messages.iter().map(|(_, _, m)| m.post.text.clone()).collect()
    }

    /// The stretches that it covers.
    pub fn ends(&self) -> BTreeMap<i32, i64> {
        self.spans.values().map(|s| (s.partition, s.to)).collect()
    }

    /// Joins the results, one a text in the order of [`Window::texts`]; a text without one is set aside.
    pub fn flush(self, topic: &str, verdicts: Vec<Option<Verdict>>, model: &str, now: DateTime<Utc>) -> Flush {
        let mut flush = Flush { topic: topic.into(), set_aside: self.set_aside, spans: self.spans.into_values().collect(), ..Flush::default() };
        let mut verdicts = verdicts.into_iter();
        for (partition, offset, message) in self.messages {
            match verdicts.next().flatten() {
                Some(v) => {
                    let analysis = Analysis { post: message.post, label: v.label, scores: v.scores, model: model.into(), analyzed_at: now };
                    flush.analyses.push((message.geography, analysis));
                }
                None => {
                    let raw = serde_json::to_vec(&message).unwrap_or_default();
                    flush.set_aside.push(aside(partition, offset, "not-classified", &raw));
                }
            }
        }
        flush
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Label, Post, Scores};

    fn received(partition: i32, offset: i64, payload: &[u8]) -> Received {
        Received { partition, offset, payload: payload.to_vec() }
    }

    fn good(id: i64) -> Vec<u8> {
        let at: DateTime<Utc> = "2026-03-01T08:00:00Z".parse().unwrap();
        let post = Post { platform: "rss".into(), id: id.to_string(), url: None, author: None, lang: None, text: format!("t{id}"), published_at: at, observed_at: at };
        serde_json::to_vec(&QueueMessage { v: 1, geography: "g".into(), post }).unwrap()
    }

    const VERDICT: Verdict = Verdict { label: Label::None, scores: Scores { none: 1.0, offensive: 0.0, hate: 0.0 } };

    #[test]
    fn a_window_covers_its_offsets_and_sets_poison_aside() {
        let mut t = Tracker::default();
        t.begin(0, 10);
        let w = t.window(vec![received(0, 10, &good(1)), received(0, 11, b"junk"), received(1, 0, &good(2))]).unwrap();
        assert_eq!(w.texts(), ["t1", "t2"]);
        let f = w.flush("q", vec![Some(VERDICT), None], "m@1", Utc::now());
        assert_eq!(f.spans, [Span { partition: 0, from: 10, to: 12, seen: 2 }, Span { partition: 1, from: 0, to: 1, seen: 1 }]);
        assert_eq!((f.analyses.len(), f.lost()), (1, 0));
        assert_eq!(f.set_aside.iter().map(|q| q.reason.as_str()).collect::<Vec<_>>(), ["not-json", "not-classified"]);
    }

    #[test]
    fn offsets_that_never_came_are_counted_as_lost() {
        let mut t = Tracker::default();
        t.begin(0, 0);
        let f = t.window(vec![received(0, 3, &good(1)), received(0, 5, &good(2))]).unwrap().flush("q", vec![Some(VERDICT); 2], "m", Utc::now());
        assert_eq!((f.lost(), f.spans[0].from, f.spans[0].to), (4, 0, 6));
    }

    #[test]
    fn an_offset_that_went_back_is_no_window() {
        let mut t = Tracker::default();
        t.begin(0, 9);
        assert!(matches!(t.window(vec![received(0, 4, &good(1))]), Err(AnalyzeError::WentBack { partition: 0, offset: 4 })));
    }
}
