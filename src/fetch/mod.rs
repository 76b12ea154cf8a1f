//! Outbound HTTP with limits. Sole home of reqwest.
//!
//! One [`Client`] an observer: at most 300 requests a minute and 10 at once, 10 s a request, 3 retries 2 s apart
//! for what may pass, a body of at most 16 MiB, and the site's own wish (`Retry-After`, `X-RateLimit-*`) before all of them.

mod budget;

pub use budget::{Budget, site_pause};

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What went wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The client could not be built.
    #[error("FET-101: the HTTP client could not be set up")]
    Setup(#[source] reqwest::Error),
    /// No answer in time, or no connection.
    #[error("FET-102: {host} gave no answer")]
    NoAnswer {
        /// Host that was asked.
        host: String,
        /// What the transport said.
        #[source]
        source: reqwest::Error,
    },
    /// The site answered with an error.
    #[error("FET-103: {host} answered with status {status}")]
    Status {
        /// Host that was asked.
        host: String,
        /// HTTP status.
        status: u16,
    },
    /// The answer is larger than [`MAX_BODY`].
    #[error("FET-104: the answer of {host} is larger than {MAX_BODY} bytes")]
    TooLarge {
        /// Host that was asked.
        host: String,
    },
    /// The site asks to be left alone for so long.
    #[error("FET-105: {host} asks to wait {} s", wait.as_secs())]
    Limited {
        /// Host that was asked.
        host: String,
        /// How long it wants to be left alone.
        wait: Duration,
    },
}

impl FetchError {
    /// A short stable word for the error metric.
    pub fn kind(&self) -> &'static str {
        match self {
            FetchError::Setup(_) => "setup",
            FetchError::NoAnswer { source, .. } if source.is_timeout() => "timeout",
            FetchError::NoAnswer { .. } => "no-answer",
            FetchError::Status { .. } => "status",
            FetchError::TooLarge { .. } => "too-large",
            FetchError::Limited { .. } => "limited",
        }
    }

    /// Whether the same request may work in a moment.
    fn passes(&self) -> bool {
        match self {
            FetchError::NoAnswer { .. } => true,
            FetchError::Status { status, .. } => *status >= 500 || *status == 408,
            _ => false,
        }
    }
}

/// Largest body that is read, in bytes.
pub const MAX_BODY: usize = 16 * 1024 * 1024;

/// An answer; 304 has an empty body.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status: 2xx or 304.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The limits of a client.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests a minute.
    pub per_minute: usize,
    /// Requests at once.
    pub at_once: usize,
    /// Retries after the first attempt.
    pub retries: u32,
    /// Pause before a retry.
    pub pause: Duration,
    /// Time that one attempt may take.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { per_minute: 300, at_once: 10, retries: 3, pause: Duration::from_secs(2), timeout: Duration::from_secs(10) }
    }
}

/// An HTTP client that keeps its [`Limits`]; clones share them.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    limits: Limits,
    budget: Arc<Mutex<Budget>>,
    gate: Arc<tokio::sync::Semaphore>,
}

impl Client {
    /// A client that trusts the Mozilla root certificates, which the binary carries.
    pub fn new(limits: Limits) -> Result<Client, FetchError> {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the ring provider has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .timeout(limits.timeout)
            .redirect(reqwest::redirect::Policy::limited(5))
            .user_agent(concat!("antihate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(FetchError::Setup)?;
        let budget = Arc::new(Mutex::new(Budget::new(limits.per_minute, Duration::from_secs(60))));
        Ok(Client { http, limits, budget, gate: Arc::new(tokio::sync::Semaphore::new(limits.at_once)) })
    }

    /// Gets `url` with extra headers. 304 is an answer, other statuses below 200 or from 300 on are errors.
    pub async fn get(&self, url: &url::Url, headers: &[(&str, &str)]) -> Result<Answer, FetchError> {
        let mut attempt = 0;
        loop {
            let result = self.attempt(url, headers).await;
            match result {
                Err(e) if e.passes() && attempt < self.limits.retries => {
                    attempt += 1;
                    tokio::time::sleep(self.limits.pause).await;
                }
                other => return other,
            }
        }
    }

    async fn attempt(&self, url: &url::Url, headers: &[(&str, &str)]) -> Result<Answer, FetchError> {
        let _place = self.gate.acquire().await.expect("the gate is never closed");
        loop {
            let wait = self.budget.lock().unwrap_or_else(|e| e.into_inner()).take(Instant::now());
            match wait {
                None => break,
                Some(wait) => tokio::time::sleep(wait).await,
            }
        }
        let host = url.host_str().unwrap_or("?").to_string();
        let mut request = self.http.get(url.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let no_answer = |source: reqwest::Error| FetchError::NoAnswer { host: host.clone(), source: source.without_url() };
        let response = request.send().await.map_err(no_answer)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        if status == 429 {
            let wait = site_pause(&headers, chrono::Utc::now()).unwrap_or(Duration::from_secs(60));
            return Err(FetchError::Limited { host, wait });
        }
        if !(200..300).contains(&status) && status != 304 {
            return Err(FetchError::Status { host, status });
        }
        let body = read_body(response, &host).await?;
        Ok(Answer { status, headers, body })
    }
}

async fn read_body(mut response: reqwest::Response, host: &str) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await;
        match chunk.map_err(|e| FetchError::NoAnswer { host: host.into(), source: e.without_url() })? {
            None => return Ok(body),
            Some(chunk) if body.len() + chunk.len() > MAX_BODY => return Err(FetchError::TooLarge { host: host.into() }),
            Some(chunk) => body.extend_from_slice(&chunk),
        }
    }
}
