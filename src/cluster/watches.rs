//! What drives watches over all objects of a kind, and what is heard of them.

use futures::StreamExt;
use kube::api::Api;
use kube::runtime::reflector::store::Writer;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Resource, ResourceExt};
use std::fmt::Debug;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The API server ends a watch after this; shorter than our own patience with a silent connection.
const WATCH_SECONDS: u32 = 25;
/// Between a watch that failed and the next try.
const RETRY: Duration = Duration::from_secs(1);
/// A watch that has not failed for this long is taken to run again: several tries fit into it.
const RECOVERED: Duration = Duration::from_secs(3);

/// What the watches said last.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Grows with every event.
    pub events: u64,
    /// Grows with every failure.
    pub failures: u64,
    /// The last failure, in words.
    pub trouble: String,
    /// When that was.
    pub failed: Option<Instant>,
}

impl Heard {
    /// Why what was heard may be old, while a watch fails.
    pub fn deaf(&self) -> Option<&str> {
        self.failed.filter(|at| at.elapsed() < RECOVERED).map(|_| self.trouble.as_str())
    }
}

/// Keeps `writer` as the API server tells, without what `lean` takes off; never ends.
pub(super) async fn drive<K>(writer: Writer<K>, api: Api<K>, heard: watch::Sender<Heard>, lean: fn(&mut K))
where
    K: Resource<DynamicType = ()> + Clone + Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    let trim = move |object: &mut K| {
        object.managed_fields_mut().clear();
        object.annotations_mut().clear();
        lean(object);
    };
    let events = watcher(api, watcher::Config::default().timeout(WATCH_SECONDS)).modify(trim).reflect(writer);
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(_) => heard.send_modify(|h| h.events += 1),
            Err(e) => {
                heard.send_modify(|h| (h.failures, h.trouble, h.failed) = (h.failures + 1, e.to_string(), Some(Instant::now())));
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_now_makes_deaf_and_what_failed_long_ago_does_not() {
        assert_eq!(Heard::default().deaf(), None);
        let failed = |at| Heard { failures: 1, trouble: "refused".into(), failed: at, ..Heard::default() };
        assert_eq!(failed(Some(Instant::now())).deaf(), Some("refused"));
        assert_eq!(failed(Instant::now().checked_sub(RECOVERED)).deaf(), None);
    }
}
