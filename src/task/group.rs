//! Many short tasks of one owner, such as connections: they may end when they like, and end with their owner.

use std::future::Future;
use tokio::task::JoinSet;

/// At most `limit` tasks at a time.
pub struct Group {
    set: JoinSet<()>,
    limit: usize,
}

impl Group {
    /// A group without tasks.
    pub fn new(limit: usize) -> Group {
        Group { set: JoinSet::new(), limit }
    }

    /// Starts a task; waits for another to end first when the limit is reached. A panic is logged and ends that task only.
    pub async fn start<F>(&mut self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        while let Some(ended) = if self.set.len() >= self.limit { self.set.join_next().await } else { self.set.try_join_next() } {
            report(ended);
        }
        self.set.spawn(work);
    }

    /// Waits at most `limit` for those that run, then ends them; returns how many had to be ended.
    pub async fn shutdown(mut self, limit: std::time::Duration) -> usize {
        let drained = tokio::time::timeout(limit, async { while let Some(e) = self.set.join_next().await { report(e) } }).await;
        let left = if drained.is_err() { self.set.len() } else { 0 };
        self.set.shutdown().await;
        left
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(e) = ended
        && e.is_panic()
    {
        tracing::error!(error = %e, "a short task panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn never_more_tasks_run_than_the_limit_allows() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut group = Group::new(3);
        for _ in 0..20 {
            let (now, most) = (now.clone(), most.clone());
            group
                .start(async move {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    now.fetch_sub(1, Ordering::SeqCst);
                })
                .await;
        }
        assert_eq!(group.shutdown(std::time::Duration::from_secs(5)).await, 0);
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
    }
}
