//! The node behind the page: answers from the board, the logs, the store, the cluster and the enrollment.

use super::board::Board;
use super::check::{self, Check, Question};
use super::{credentials, place};
use crate::cluster::Cluster;
use crate::config::layout::Layout;
use crate::domain::{Analysis, PostRef, Role};
use crate::enroll::edge::Handle;
use crate::files;
use crate::operate;
use crate::setup::{Packed, PackedPart, Provider, TokenFacts};
use crate::status::{NodeStatus, Problem};
use crate::support::{self, Seal};
use crate::store::{Filter, Postgres, Store, StoreError};
use std::path::PathBuf;
use tokio::sync::{Mutex, OnceCell, watch};

/// A kubeconfig from the page cannot be taken back, so it holds a week.
const KUBECONFIG_DAYS: u16 = 7;

/// What the page asks of a host.
pub struct HostProvider {
    layout: Layout,
    board: Board,
    store: Mutex<Option<Postgres>>,
    cluster: OnceCell<Cluster>,
    upstream: Handle,
    looked: Looked,
}

/// What the checks of the host need to know.
pub struct Looked {
    /// Folder below which the GPU driver's files lie.
    pub driver_root: PathBuf,
    /// The operator named the address.
    pub address: bool,
    /// Port of the page.
    pub page: u16,
}

impl HostProvider {
    /// Connects to nothing until it is asked.
    pub fn new(layout: Layout, board: Board, upstream: Handle, looked: Looked) -> HostProvider {
        HostProvider { layout, board, store: Mutex::default(), cluster: OnceCell::new(), upstream, looked }
    }

    async fn cluster(&self) -> Result<&Cluster, Problem> {
        self.cluster.get_or_try_init(|| async { Cluster::connect(&self.layout.admin_kubeconfig()).await.map_err(|e| e.problem()) }).await
    }

    /// Asks the database, connecting first where that was not done or the last answer was a failure.
    async fn read<T>(&self, ask: impl AsyncFnOnce(&Postgres) -> Result<T, StoreError>) -> Result<T, Problem> {
        place::only_at_home(&self.layout, "posts are shown")?;
        let mut held = self.store.lock().await;
        if held.is_none() {
            *held = Some(operate::store(self.cluster().await?, &self.layout).await?);
        }
        ask(held.as_ref().expect("just made")).await.map_err(|e| {
            *held = None; // the database's pod may have moved: the next question asks for its address
            let cause = std::error::Error::source(&e).map(ToString::to_string).unwrap_or_default();
            Problem::new("STO-109", e.to_string(), cause, "See the component antihate-storage/postgres; the page asks again by itself.")
        })
    }
}

#[async_trait::async_trait]
impl Provider for HostProvider {
    fn status(&self) -> watch::Receiver<NodeStatus> {
        self.board.subscribe()
    }

    async fn latest_posts(&self, limit: usize) -> Result<Vec<Analysis>, Problem> {
        let most = u32::try_from(limit).unwrap_or(u32::MAX);
        self.read(async |store| store.latest(most, &Filter::default()).await).await
    }

    async fn posts(&self, named: &[PostRef]) -> Result<Vec<Analysis>, Problem> {
        self.read(async |store| store.find(named).await).await
    }

    async fn component_log(&self, name: &str, lines: usize) -> Result<Vec<String>, Problem> {
        if let Some((namespace, workload)) = name.split_once('/') {
            return self.cluster().await?.workload_log(namespace, workload, lines).await.map_err(|e| e.problem());
        }
        let known = self.board.subscribe().borrow().components.iter().any(|c| c.place == "host" && c.name == name);
        let path = self.layout.log(name);
        if !known {
            return Err(Problem::new("CLI-101", "there is no such component", "the name is not among the node's components", "choose one of those shown"));
        }
        files::tail(&path, lines).map_err(|e| Problem::new("CLI-104", format!("the log of {name} cannot be read"), e.to_string(), "it is made when the component starts"))
    }

    async fn checks(&self) -> Vec<Check> {
        let (layout, Looked { driver_root, address, page }) = (self.layout.clone(), &self.looked);
        let (driver_root, address, page) = (driver_root.clone(), *address, *page);
        let look = move || {
            let question = Question { layout: &layout, need: 0, address, page, driver_root: &driver_root, running: true, quick: true };
            check::look(&question)
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    fn has_setup(&self) -> bool {
        place::only_at_home(&self.layout, "the setup is done").is_ok()
    }

    fn decode_token(&self, token: &str) -> Result<TokenFacts, Problem> {
        let token = self.upstream.decode(token)?;
        Ok(TokenFacts { geography: token.geography.clone(), hub: token.hub(), expires: None, words: token.hub_words() })
    }

    async fn enroll(&self, token: &str) -> Result<(), Problem> {
        place::only_at_home(&self.layout, "the cluster is enrolled")?;
        self.upstream.enroll_and_wait(token).await
    }

    fn kubeconfig(&self, name: &str, role: Role) -> Result<(String, u16), Problem> {
        place::only_at_home(&self.layout, "credentials are made")?;
        credentials::kubeconfig(&self.layout, (name, role), None, KUBECONFIG_DAYS).map(|made| (made, KUBECONFIG_DAYS))
    }

    async fn support(&self) -> Result<Packed, Problem> {
        let (layout, checks) = (self.layout.clone(), support::Part::checks(&self.checks().await));
        let made = tokio::task::spawn_blocking(move || support::bundle(&layout, vec![checks], &Seal::Phrase)).await;
        let made = made.unwrap_or_else(|e| Err(support::failed(&e)))?;
        let (name, removed) = (made.file_name(true), made.manifest.parts.iter().map(|l| l.removed).sum());
        let parts = made.manifest.parts.into_iter().map(|l| PackedPart { name: l.name, what: l.what.to_owned(), problem: l.problem }).collect();
        Ok(Packed { name, bytes: made.bytes.into(), phrase: made.phrase.unwrap_or_default(), parts, removed })
    }

    fn never_in_support(&self) -> &'static [(&'static str, &'static str)] {
        &support::LEFT_OUT
    }
}
