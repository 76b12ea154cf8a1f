//! The only place that spawns tasks: each has one owner and one name, and ends with its owner.
//!
//! A task that ends although nobody asked for it, by panic or by return, is reported by [`Tasks::join_any`];
//! the owner then ends the process non-zero. It never detaches anything.

pub mod group;

use std::future::Future;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The tasks of one owner.
pub struct Tasks {
    set: JoinSet<(&'static str, Result<(), String>)>,
    stop: CancellationToken,
}

/// An end that nobody asked for.
#[derive(Debug, thiserror::Error)]
#[error("task {name} ended: {why}")]
pub struct Ended {
    /// The task's name.
    pub name: String,
    /// How it ended.
    pub why: String,
}

impl Tasks {
    /// An owner without tasks; `stop` is handed to each of them.
    pub fn new(stop: CancellationToken) -> Self {
        Tasks { set: JoinSet::new(), stop }
    }

    /// The token that asks all tasks to stop.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a named task.
    pub fn start<F>(&mut self, name: &'static str, work: F)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.set.spawn(async move { (name, work.await) });
    }

    /// Waits until a task ends without being asked, or until stop is asked for (`Ok`).
    pub async fn join_any(&mut self) -> Result<(), Ended> {
        loop {
            let stop = self.stop.clone();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                ended = self.set.join_next() => match ended {
                    None => { stop.cancelled().await; return Ok(()); }
                    Some(Ok((_, Ok(())))) if self.stop.is_cancelled() => continue,
                    Some(Ok((name, Ok(())))) => return Err(Ended { name: name.into(), why: "returned".into() }),
                    Some(Ok((name, Err(why)))) => return Err(Ended { name: name.into(), why }),
                    Some(Err(e)) => return Err(Ended { name: "?".into(), why: e.to_string() }),
                }
            }
        }
    }

    /// Asks all to stop and waits at most `limit`; returns how many had to be aborted.
    pub async fn shutdown(mut self, limit: std::time::Duration) -> usize {
        self.stop.cancel();
        let drained = tokio::time::timeout(limit, async { while self.set.join_next().await.is_some() {} }).await;
        let left = if drained.is_err() { self.set.len() } else { 0 };
        self.set.shutdown().await;
        left
    }
}

/// A task that lives exactly as long as this value: dropping it ends the task. For drivers such as that of a
/// database connection, whose end shows in the thing that they drive.
#[must_use]
pub struct Companion(tokio::task::JoinHandle<()>);

impl Companion {
    /// Starts `work`; it ends with the returned value.
    pub fn start<F>(work: F) -> Companion
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Companion(tokio::spawn(work))
    }

    /// Whether the task is still at work.
    pub fn is_running(&self) -> bool {
        !self.0.is_finished()
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.0.abort();
    }
}
