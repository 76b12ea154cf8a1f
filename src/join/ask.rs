//! The joining host's side: connects to the pinned control plane, says who it is, gets its place and its keys.

use super::code::Code;
use super::door::WAIT;
use super::problem;
use super::protocol::{Facts, JoinAnswer, JoinRequest, LABEL, MAX_ANSWER, MemberAnswer, MemberRequest, RenewAnswer, RenewRequest, ShareAnswer, ShareRequest, path};
use crate::cluster::patience::SILENT;
use crate::pki::enroll::device::DeviceKey;
use crate::pki::enroll::tls_client::{Refused, Stream, Trust, connect};
use crate::status::Problem;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use std::net::SocketAddrV4;
use std::time::Duration;
use tokio::net::TcpStream;

/// Longest wait for a connection or a handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(60);
/// How long a control plane may take to make itself ready for another, and between two questions.
const PREPARING: Duration = Duration::from_secs(600);
const AGAIN: Duration = Duration::from_secs(5);

/// Joins with `code`; asks again while the control plane makes itself ready. `tell` hears why it waits.
pub async fn join(code: &Code, facts: &Facts, tell: &dyn Fn(&str)) -> Result<JoinAnswer, Problem> {
    let (until, mut asked_to_wait) = (tokio::time::Instant::now() + PREPARING, false);
    loop {
        match join_once(code, facts).await {
            Err(p) if passes(&p.code, asked_to_wait) && tokio::time::Instant::now() < until => {
                asked_to_wait = true;
                tell(&p.cause);
            }
            other => return other,
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Asks once.
pub async fn join_once(code: &Code, facts: &Facts) -> Result<JoinAnswer, Problem> {
    let text = serde_json::to_string(facts).expect("plain data");
    let trust = Trust { pin: &code.pin, identity: None, clock_offset_s: 0, any_time: false };
    let (stream, exporter) = reach(code.address, &trust).await?;
    let request = JoinRequest { id: code.id(), signature: hex::encode(code.sign(&text, &exporter)), facts: text };
    post(stream, code.address, path::JOIN, &request).await
}

/// Whether a problem passes by itself: the control plane asks to wait, or its API server is being started. While it starts its parts
/// anew it may also not answer at all, which is a reason to give up before it has asked to wait.
fn passes(code: &str, asked_to_wait: bool) -> bool {
    [WAIT, SILENT].contains(&code) || (code == "JOI-108" && asked_to_wait)
}

/// A host of the cluster, as it shows itself to a control plane.
pub struct Member {
    /// Hashes of the keys of all authorities that it trusts: while the authority is changed there are two.
    pub pins: Vec<[u8; 32]>,
    /// Its key.
    pub key: DeviceKey,
    /// Its certificate, PEM.
    pub chain: String,
}

impl Member {
    /// Asks for new certificates, with the present ones.
    pub async fn renew(&self, address: SocketAddrV4, request: &RenewRequest) -> Result<RenewAnswer, Problem> {
        self.ask(address, path::RENEW, request).await
    }

    /// Asks for what control planes share.
    pub async fn share(&self, address: SocketAddrV4) -> Result<ShareAnswer, Problem> {
        self.ask(address, path::SHARE, &ShareRequest {}).await
    }

    /// Asks for a new member of etcd in the place of this host's, which is damaged.
    pub async fn anew(&self, address: SocketAddrV4) -> Result<MemberAnswer, Problem> {
        self.ask(address, path::MEMBER, &MemberRequest {}).await
    }

    async fn ask<Q: serde::Serialize, A: serde::de::DeserializeOwned>(&self, address: SocketAddrV4, path: &str, request: &Q) -> Result<A, Problem> {
        let mut last = problem(109, format!("what answers at {address} cannot be known"), "this host trusts no authority", "Take this host off with `antihate reset` and join it again.");
        for pin in &self.pins {
            let trust = Trust { pin, identity: Some((&self.key, &self.chain)), clock_offset_s: 0, any_time: false };
            match reach(address, &trust).await {
                Ok((stream, _)) => return post(stream, address, path, request).await,
                Err(other) => last = other,
            }
        }
        Err(last)
    }
}

async fn reach(address: SocketAddrV4, trust: &Trust<'_>) -> Result<(Stream, [u8; 32]), Problem> {
    let silent = |stage: &str, why: String| problem(108, format!("the control plane at {address} does not answer"), format!("{stage}: {why}"), "See that both hosts are on, that this address is right, and that nothing between them blocks the port.");
    let tcp = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await;
    let tcp = tcp.map_err(|_| silent("connection", "no answer in time".into()))?.map_err(|e| silent("connection", e.to_string()))?;
    let shaken = tokio::time::timeout(CONNECT, connect(tcp, &address.ip().to_string(), trust, LABEL)).await;
    shaken.map_err(|_| silent("handshake", "not finished in time".into()))?.map_err(|e| match e {
        Refused::NotTheHub(e) => problem(109, format!("what answers at {address} is not the cluster of this code"), e.to_string(), "See that the code was made there. Something between the hosts that opens TLS is not trusted either."),
        Refused::Time(e) => problem(119, "the clocks of the two hosts differ too much", e.to_string(), "Set both clocks, then try again."),
        Refused::Broken(e) => silent("handshake", e.to_string()),
        Refused::Setup(e) => silent("this side", e.to_string()),
    })
}

/// One request on one connection; the other side's problem comes back as it was said there.
async fn post<Q: serde::Serialize, A: serde::de::DeserializeOwned>(stream: Stream, address: SocketAddrV4, path: &str, request: &Q) -> Result<A, Problem> {
    let broken = |why: String| problem(108, format!("the exchange with {address} broke off"), why, "Try again: the same code serves this host again within its hour.");
    let whole = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        let body = serde_json::to_vec(request).map_err(|e| e.to_string())?;
        let request = Request::post(path).header(http::header::HOST, address.to_string()).header(http::header::CONTENT_TYPE, "application/json").body(Full::<Bytes>::from(body)).map_err(|e| e.to_string())?;
        let answered = async {
            let (head, body) = sender.send_request(request).await.map_err(|e| e.to_string())?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|e| e.to_string())?.to_bytes();
            Ok::<_, String>((head.status, body))
        };
        let mut answered = std::pin::pin!(answered);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            biased;
            answer = &mut answered => answer,
            _ = &mut connection => answered.await,
        }
    };
    let (status, body) = tokio::time::timeout(ANSWER, whole).await.map_err(|_| broken("no answer in time".into()))?.map_err(broken)?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|e| broken(e.to_string()));
    }
    Err(serde_json::from_slice(&body).unwrap_or_else(|_| broken(format!("status {status}"))))
}
