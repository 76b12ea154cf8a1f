//! One connection to the hub: pinned TLS, then HTTP. Each failure names the stage at which it happened.

use super::Options;
use crate::enroll::protocol::{EXPORTER_LABEL, MAX_ANSWER, Time, path};
use crate::enroll::refusal::{Refusal, Stage};
use crate::pki::enroll::device::DeviceKey;
use crate::pki::enroll::tls_client::{Refused, Trust, connect};
use bytes::Bytes;
use futures::future::{BoxFuture, Fuse, FutureExt};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::net::TcpStream;

/// Longest wait for a name, an address or a handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(20);

/// Where the hub is and how it proves itself.
#[derive(Clone, Copy)]
pub(in crate::enroll) struct Target<'a> {
    pub host: &'a str,
    pub port: u16,
    pub pin: [u8; 32],
}

/// An open connection.
pub(in crate::enroll) struct Link {
    hub: String,
    sender: SendRequest<Full<Bytes>>,
    connection: Fuse<BoxFuture<'static, ()>>,
    /// Keying material of this TLS session.
    pub exporter: [u8; 32],
}

impl Link {
    /// Connects; with an identity the node proves who it is. A certificate that is only out of date is asked for the time.
    pub(in crate::enroll) async fn open(to: Target<'_>, identity: Option<(&DeviceKey, &str)>, options: &Options) -> Result<Link, Refusal> {
        let trust = Trust { pin: &to.pin, identity, clock_offset_s: options.clock_offset_s, any_time: false };
        match open(to, &trust).await {
            Err(Failed::Time) => Err(skew(to, options).await?),
            Err(Failed::Refused(refusal)) => Err(refusal),
            Ok(link) => Ok(link),
        }
    }

    /// Sends `body` and reads the answer with its status.
    pub(in crate::enroll) async fn post<Q: Serialize, A: DeserializeOwned>(&mut self, path: &str, body: &Q) -> Result<(u16, A), Refusal> {
        let body = serde_json::to_vec(body).map_err(|e| self.broken(&e))?;
        self.exchange(Method::POST, path, body).await
    }

    async fn exchange<A: DeserializeOwned>(&mut self, method: Method, path: &str, body: Vec<u8>) -> Result<(u16, A), Refusal> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, &self.hub)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .map_err(|e| self.broken(&e))?;
        let sent = self.sender.send_request(request);
        let whole = async {
            let (head, body) = sent.await.map_err(|e| e.to_string())?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|e| e.to_string())?;
            Ok::<_, String>((head.status.as_u16(), body.to_bytes()))
        };
        let answered = tokio::time::timeout(ANSWER, drive(&mut self.connection, whole)).await;
        let (status, body) = answered.map_err(|_| self.broken(&"no answer in time"))?.map_err(|e| self.broken(&e))?;
        if matches!(status, 200 | 201) {
            return serde_json::from_slice(&body).map(|a| (status, a)).map_err(|e| self.broken(&e));
        }
        Err(serde_json::from_slice::<Refusal>(&body).unwrap_or_else(|_| self.broken(&format!("status {status}"))))
    }

    fn broken(&self, why: &dyn std::fmt::Display) -> Refusal {
        unreachable(&self.hub, Stage::Http, format!("The exchange broke off: {why}."))
    }
}

enum Failed {
    Time,
    Refused(Refusal),
}

async fn open(to: Target<'_>, trust: &Trust<'_>) -> Result<Link, Failed> {
    let hub = format!("{}:{}", to.host, to.port);
    let tcp = reach(to, &hub).await.map_err(Failed::Refused)?;
    let shaken = tokio::time::timeout(CONNECT, connect(tcp, to.host, trust, EXPORTER_LABEL)).await;
    let tls = |why: String| Failed::Refused(unreachable(&hub, Stage::Tls, why));
    let (stream, exporter) = match shaken {
        Err(_) => return Err(tls("The handshake was not finished in time.".into())),
        Ok(Err(Refused::Time(_))) => return Err(Failed::Time),
        Ok(Err(Refused::NotTheHub(e))) => return Err(Failed::Refused(Refusal::NotTheHub { hub, detail: e.to_string() })),
        Ok(Err(Refused::Broken(e))) => return Err(tls(format!("The handshake failed: {e}."))),
        Ok(Err(Refused::Setup(e))) => return Err(tls(format!("This side could not begin: {e}."))),
        Ok(Ok(open)) => open,
    };
    let shaken = tokio::time::timeout(CONNECT, handshake(TokioIo::new(stream))).await;
    let (sender, connection) = shaken.map_err(|e| tls(e.to_string()))?.map_err(|e| tls(e.to_string()))?;
    let connection = connection.map(drop).boxed().fuse(); // its error comes back through the sender
    Ok(Link { hub, sender, connection, exporter })
}

/// The first address that answers.
async fn reach(to: Target<'_>, hub: &str) -> Result<TcpStream, Refusal> {
    let bare = to.host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::time::timeout(CONNECT, tokio::net::lookup_host((bare, to.port))).await;
    let no_name = |why: String| unreachable(hub, Stage::Dns, format!("The name {bare} has no address: {why}."));
    let addresses = found.map_err(|_| no_name("the name server did not answer".into()))?.map_err(|e| no_name(e.to_string()))?;
    let mut why = "the list of its addresses is empty".to_string();
    for address in addresses {
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                tcp.set_nodelay(true).ok();
                return Ok(tcp);
            }
            Ok(Err(e)) => why = format!("{address}: {e}"),
            Err(_) => why = format!("{address} did not answer within {} s", CONNECT.as_secs()),
        }
    }
    Err(unreachable(hub, Stage::Tcp, format!("No connection: {why}.")))
}

/// Asks the hub for the time, over a connection that proves its key but not its dates; sends nothing else.
async fn skew(to: Target<'_>, options: &Options) -> Result<Refusal, Refusal> {
    let trust = Trust { pin: &to.pin, identity: None, clock_offset_s: options.clock_offset_s, any_time: true };
    let hub = format!("{}:{}", to.host, to.port);
    let mut link = open(to, &trust).await.map_err(|failed| match failed {
        Failed::Refused(refusal) => refusal,
        Failed::Time => unreachable(&hub, Stage::Tls, "The dates of the certificate cannot be read.".into()),
    })?;
    let (_, time): (u16, Time) = link.exchange(Method::GET, path::TIME, Vec::new()).await?;
    Ok(Refusal::Clock { skew_s: options.now() - time.server_time.timestamp(), hub_time: time.server_time })
}

fn unreachable(hub: &str, stage: Stage, detail: String) -> Refusal {
    Refusal::Unreachable { hub: hub.into(), stage, detail }
}

/// Runs `work` while the connection is moved along beside it.
async fn drive<T>(connection: &mut Fuse<BoxFuture<'static, ()>>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = &mut *connection => return work.await,
        }
    }
}
