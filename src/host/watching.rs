//! Looks at the running components and publishes how they are: at once when something is heard of one, and now and then because
//! one that hangs is not heard of.

use super::up::{Keys, Node};
use super::{board, kubernetes};
use crate::status::{Component, Problem, StepState};
use chrono::Utc;
use futures::StreamExt;
use futures::stream::{BoxStream, SelectAll};
use std::time::Duration;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

/// Between two looks while something is unwell, and while all is well and nothing is heard.
const LOOK_SOON: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_secs(10);
/// What is heard within this is looked at together.
const GATHER: Duration = Duration::from_millis(200);

/// That something about a part has changed; what, is asked of the part.
pub type News = BoxStream<'static, ()>;

/// Every further change of a value.
pub fn news<T: Clone + Send + Sync + 'static>(of: watch::Receiver<T>) -> News {
    WatchStream::from_changes(of).map(drop).boxed()
}

impl Node {
    /// Looks after the components' health until stop is asked for.
    pub(super) async fn watch(&self, keys: &Keys) -> Result<(), Problem> {
        let mut heard = self.heard().await;
        loop {
            let well = self.look(keys).await;
            // A stream that ended is of a part that is gone; the host's own parts live as long as the node.
            if let Ok(Some(())) = tokio::time::timeout(if well { LOOK } else { LOOK_SOON }, heard.next()).await {
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    /// The beginnings and ends of children, and what the host's own parts say of themselves.
    async fn heard(&self) -> SelectAll<News> {
        let own = [self.policy.news(), self.hosts.news(), self.gpus.news(), self.storage.news()];
        futures::stream::select_all(self.children_news().await.into_iter().chain(own))
    }

    /// One look; returns whether everything that the node needs is well.
    async fn look(&self, keys: &Keys) -> bool {
        let mut all = Vec::new();
        for (name, state) in self.states().await {
            let asked = kubernetes::ask(&self.settings, &keys.tls, name).await;
            let detail = match (&asked, &state.last_end) {
                (Ok(()), _) => String::new(),
                (Err(e), None) => e.to_string(),
                (Err(e), Some(end)) => format!("{e}; it {end}"),
            };
            all.push(Component { name: name.into(), place: "host".into(), healthy: asked.is_ok(), detail, restarts: state.restarts, since: Utc::now() });
        }
        self.hosts.sound.send_replace(all.iter().all(|c| c.healthy));
        all.push(self.policy.component());
        all.extend(self.hosts.component());
        let well = all.iter().all(|c| c.healthy);
        // Without them the node works: they do not count as its parts.
        all.extend(self.gpus.component().into_iter().chain(self.storage.component()));
        self.board.components(true, all);
        if !self.settings.place.is_home() {
            self.joined_steps(well);
        }
        well
    }

    /// The stack is the first host's matter: this one is healthy when its own components are.
    fn joined_steps(&self, well: bool) {
        self.board.step("apply", StepState::Done, "the first host looks after the stack");
        let state = if well { StepState::Done } else { StepState::Running { percent: None, attempt: 1 } };
        self.board.step("healthy", state, board::JOINED);
        self.board.change(|status| status.healthy = well);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_is_heard_once_and_silence_is_not_news() {
        let (send, of) = watch::channel(1);
        let (other, beside) = watch::channel("a");
        let mut heard = futures::stream::select_all([news(of), news(beside)]);
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, heard.next()).await.is_err());
        send.send_replace(2);
        assert_eq!(heard.next().await, Some(()));
        assert!(tokio::time::timeout(soon, heard.next()).await.is_err());
        drop(send);
        other.send_replace("b");
        assert_eq!(heard.next().await, Some(()), "the end of one does not silence the other");
    }
}
