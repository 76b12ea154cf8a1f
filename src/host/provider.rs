//! The node behind the page: answers from the board, the logs, the store, the cluster and the enrollment.

use super::board::Board;
use crate::cluster::Cluster;
use crate::config::layout::Layout;
use crate::domain::Analysis;
use crate::enroll::edge;
use crate::files;
use crate::operate;
use crate::setup::{Provider, TokenFacts};
use crate::status::{NodeStatus, Problem};
use crate::store::{Filter, Postgres, Store};
use tokio::sync::{OnceCell, watch};

/// What the page asks of a host.
pub struct HostProvider {
    layout: Layout,
    board: Board,
    store: OnceCell<Postgres>,
    cluster: OnceCell<Cluster>,
    edge: edge::Handle,
}

impl HostProvider {
    /// Connects to nothing until it is asked.
    pub fn new(layout: Layout, board: Board, edge: edge::Handle) -> HostProvider {
        HostProvider { layout, board, store: OnceCell::new(), cluster: OnceCell::new(), edge }
    }

    async fn pod_log(&self, namespace: &str, name: &str, lines: usize) -> Result<Vec<String>, Problem> {
        let connect = || async { Cluster::connect(&self.layout.admin_kubeconfig()).await.map_err(|e| e.problem()) };
        let cluster = self.cluster.get_or_try_init(connect).await?;
        cluster.workload_log(namespace, name, lines).await.map_err(|e| e.problem())
    }
}

#[async_trait::async_trait]
impl Provider for HostProvider {
    fn status(&self) -> watch::Receiver<NodeStatus> {
        self.board.subscribe()
    }

    async fn latest_posts(&self, limit: usize) -> Result<Vec<Analysis>, Problem> {
        let open = || async { operate::store(&self.layout) };
        let store = self.store.get_or_try_init(open).await?;
        let most = u32::try_from(limit).unwrap_or(u32::MAX);
        store.latest(most, &Filter::default()).await.map_err(|e| {
            let cause = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
            Problem::new("STO-109", e.to_string(), cause, "See the component antihate-storage/postgres; the page asks again by itself.")
        })
    }

    async fn component_log(&self, name: &str, lines: usize) -> Result<Vec<String>, Problem> {
        if let Some((namespace, workload)) = name.split_once('/') {
            return self.pod_log(namespace, workload, lines).await;
        }
        let known = self.board.subscribe().borrow().components.iter().any(|c| c.place == "host" && c.name == name);
        let path = self.layout.log(name);
        if !known {
            return Err(Problem::new("CLI-101", "there is no such component", "the name is not among the node's components", "choose one of those shown"));
        }
        files::tail(&path, lines).map_err(|e| Problem::new("CLI-104", format!("the log of {name} cannot be read"), e.to_string(), "it is made when the component starts"))
    }

    fn decode_token(&self, token: &str) -> Result<TokenFacts, Problem> {
        let token = self.edge.decode(token)?;
        Ok(TokenFacts { geography: token.geography.clone(), hub: token.hub(), expires: None, words: token.hub_words() })
    }

    async fn enroll(&self, token: &str) -> Result<(), Problem> {
        self.edge.enroll_and_wait(token).await
    }
}
