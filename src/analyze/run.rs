//! The analyzer's loop.

use super::{AnalyzeError, Classify, Tracker, Window, classify};
use crate::queue::{Ends, Event, Positions, Received, Subscribe, Subscription};
use crate::store::{Flush, Flushed, Store};
use crate::telemetry::{AnalyzerMetrics, Health};
use chrono::Utc;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// What an analyzer works with.
#[derive(Clone)]
pub struct Analyzer {
    /// The topic's name.
    pub topic: String,
    /// Where messages come from.
    pub source: Arc<dyn Subscribe>,
    /// How far the topic reaches.
    pub ends: Arc<dyn Ends>,
    /// Where results go.
    pub store: Arc<dyn Store>,
    /// What classifies.
    pub classifier: Arc<dyn Classify>,
    /// Messages a window holds at most.
    pub window: usize,
    /// How long a window waits for more.
    pub linger: Duration,
    /// Counters.
    pub metrics: AnalyzerMetrics,
    /// What `/health` and `/ready` say.
    pub health: Health,
}

/// Pause before starting over.
const RETRY: Duration = Duration::from_millis(500);

/// Analyzes until `stop`; starts over from the stored positions whenever something ends. Only a broken classifier ends it.
pub async fn run(analyzer: Analyzer, stop: CancellationToken) -> Result<(), String> {
    while !stop.is_cancelled() {
        let round = tokio::select! {
            round = analyzer.round(&stop) => round,
            () = stop.cancelled() => return Ok(()),
        };
        match round {
            Ok(()) => return Ok(()),
            Err(AnalyzeError::Classifier(problem)) => return Err(problem.render()),
            Err(e) => {
                tracing::info!(reason = %e, "starting over from the stored positions");
                analyzer.metrics.error();
                analyzer.health.ready(Err(e.to_string()));
                tokio::time::sleep(RETRY).await;
            }
        }
    }
    Ok(())
}

impl Analyzer {
    /// One life of a consumer: while a window is stored, the next is collected and classified.
    async fn round(&self, stop: &CancellationToken) -> Result<(), AnalyzeError> {
        let mut subscription = self.source.subscribe(self.positions())?;
        let mut tracker = Tracker::default();
        let mut ready: Option<(Flush, BTreeMap<i32, i64>)> = None;
        loop {
            let storing = async {
                match ready.take() {
                    Some((flush, ends)) => self.store_flush(&flush, stop).await.map(|()| Some(ends)),
                    None => Ok(None),
                }
            };
            let next = async {
                let messages = self.collect(&mut subscription, &mut tracker).await?;
                self.classify(tracker.window(messages)?).await
            };
            let (stored, classified) = tokio::join!(storing, next);
            if let Some(ends) = stored? {
                (subscription.progress)(&ends);
            }
            ready = classified?;
            self.health.ready(Ok(()));
        }
    }

    /// Where to begin, asked from the consumer's thread: the stored positions, unless the topic was made anew.
    fn positions(&self) -> Arc<Positions> {
        let (this, runtime) = (self.clone(), tokio::runtime::Handle::current());
        Arc::new(move |_: &[i32]| runtime.block_on(this.begin()))
    }

    async fn begin(&self) -> Result<BTreeMap<i32, i64>, String> {
        let mut stored = self.store.positions(&self.topic).await.map_err(|e| e.to_string())?;
        let ends = self.ends.ends().await.map_err(|e| e.to_string())?;
        for (partition, next) in &mut stored {
            let Some((low, high)) = ends.get(partition) else { continue };
            if *next > *high {
                tracing::warn!(partition, stored = *next, end = *high, "the topic was made anew: reading it from its beginning; known posts change nothing");
                self.store.reset_position(&self.topic, *partition, *next, *low).await.map_err(|e| e.to_string())?;
                *next = *low;
            }
        }
        Ok(stored)
    }

    /// Waits for a first message, then at most `linger` for a full window.
    async fn collect(&self, s: &mut Subscription, tracker: &mut Tracker) -> Result<Vec<Received>, AnalyzeError> {
        let mut messages = Vec::new();
        let mut until = Instant::now() + Duration::from_secs(1);
        while messages.len() < self.window {
            match tokio::time::timeout_at(until.into(), s.events.recv()).await {
                Err(_) => break,
                Ok(None) => return Err(AnalyzeError::Consumer("its thread ended".into())),
                Ok(Some(Event::Failed(why))) => return Err(AnalyzeError::Consumer(why)),
                // What was collected before of a partition that begins anew is void: the stored position says so.
                Ok(Some(Event::Begin { partition, offset })) => {
                    messages.retain(|m: &Received| m.partition != partition);
                    tracker.begin(partition, offset);
                }
                Ok(Some(Event::Received(m))) => {
                    if messages.is_empty() {
                        until = Instant::now() + self.linger;
                    }
                    messages.push(m);
                }
            }
        }
        Ok(messages)
    }

    async fn classify(&self, window: Window) -> Result<Option<(Flush, BTreeMap<i32, i64>)>, AnalyzeError> {
        self.health.turn();
        let ends = window.ends();
        if ends.is_empty() {
            return Ok(None);
        }
        let (classifier, texts, begun) = (self.classifier.clone(), window.texts(), Instant::now());
        let done = tokio::task::spawn_blocking(move || classify::window(&classifier, &texts).map(|v| (v, classifier.model()))).await;
        let (verdicts, model) = done.map_err(|e| AnalyzeError::Consumer(e.to_string()))?.map_err(AnalyzeError::Classifier)?;
        self.metrics.classified(begun.elapsed().as_secs_f64());
        Ok(Some((window.flush(&self.topic, verdicts, &model, Utc::now()), ends)))
    }

    /// Stores a flush, patiently: the database may be away for as long as it likes.
    async fn store_flush(&self, flush: &Flush, stop: &CancellationToken) -> Result<(), AnalyzeError> {
        let mut pause = Duration::from_millis(100);
        loop {
            let begun = Instant::now();
            match self.store.flush(flush).await {
                Ok(Flushed::Stored(n)) => {
                    self.metrics.flushed(begun.elapsed().as_secs_f64());
                    self.metrics.processed(n.posts, n.known, n.set_aside);
                    return Ok(());
                }
                Ok(Flushed::Already) => return Ok(()),
                Ok(Flushed::Elsewhere) => return Err(AnalyzeError::Elsewhere),
                Err(e) => {
                    tracing::warn!(error = %e, cause = std::error::Error::source(&e).map(|c| c.to_string()), "a flush is tried again");
                    self.metrics.error();
                    self.health.ready(Err(e.to_string()));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(5)),
                () = stop.cancelled() => return Err(AnalyzeError::Consumer("asked to stop".into())),
            }
        }
    }
}
