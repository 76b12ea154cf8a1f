//! What every request passes before a page sees it: name, origin, rate, size and patience; and the headers of every answer.

use super::PATIENCE;
use crate::status::Problem;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use governor::{Quota, RateLimiter, clock::Clock, clock::DefaultClock, state::keyed::DefaultKeyedStateStore};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};

/// Nothing from elsewhere, nothing inline, no frame around us.
pub const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
form-action 'self'; frame-ancestors 'none'";
/// Longest body of any request, in bytes.
pub const BODY_CAP: usize = 1024 * 1024;
/// Clients that are remembered before old ones are forgotten.
const CLIENTS: usize = 10_000;

type Limiter = RateLimiter<IpAddr, DefaultKeyedStateStore<IpAddr>, DefaultClock>;

/// The names that a server answers to; whoever holds a copy may change them while it serves.
#[derive(Clone, Default)]
pub struct Names(Arc<RwLock<BTreeSet<String>>>);

impl Names {
    /// These names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Names {
        let all = Names::default();
        all.set(names);
        all
    }

    /// These names and no other, from now on.
    pub fn set(&self, names: impl IntoIterator<Item = String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = names.into_iter().map(|n| n.to_lowercase()).collect();
    }

    fn has(&self, name: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&name.to_lowercase())
    }
}

/// The rules for one server.
pub struct Guard {
    names: Names,
    caps: Vec<(&'static str, usize)>,
    limiter: Limiter,
}

impl Guard {
    /// Answers to `names` and to any literal address (which no rebinding can point at us), and lets each client
    /// make `per_second` requests, `burst` at once.
    pub fn new(names: Names, per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let limiter = RateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst));
        Guard { names, caps: Vec::new(), limiter }
    }

    /// A smaller body cap, in bytes, for paths that begin with `prefix`.
    pub fn cap(mut self, prefix: &'static str, bytes: usize) -> Self {
        self.caps.push((prefix, bytes));
        self
    }

    fn cap_of(&self, path: &str) -> usize {
        self.caps.iter().find(|(prefix, _)| path.starts_with(prefix)).map_or(BODY_CAP, |(_, bytes)| *bytes)
    }

    fn knows(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        name.parse::<IpAddr>().is_ok() || self.names.has(name)
    }

    fn admits(&self, client: IpAddr) -> Result<(), u64> {
        if self.limiter.len() > CLIENTS {
            self.limiter.retain_recent();
        }
        let clock = DefaultClock::default();
        self.limiter.check_key(&network(client)).map_err(|not| not.wait_time_from(clock.now()).as_secs() + 1)
    }
}

/// One client: an IPv4 address, or the /64 that one IPv6 client can fill.
pub fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Puts the guard in front of `router` and the headers behind it.
pub fn protect(router: Router, guard: Guard) -> Router {
    router.layer(from_fn_with_state(Arc::new(guard), check)).layer(from_fn(dress))
}

async fn check(State(guard): State<Arc<Guard>>, ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request, next: Next) -> Response {
    if let Err(seconds) = guard.admits(peer.ip()) {
        let mut refused = refuse(StatusCode::TOO_MANY_REQUESTS, too_many(seconds));
        refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        return refused;
    }
    let host = text(request.headers(), header::HOST);
    if !guard.knows(&host) {
        return refuse(StatusCode::MISDIRECTED_REQUEST, unknown_name());
    }
    let reads_only = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads_only && !text(request.headers(), header::ORIGIN).eq_ignore_ascii_case(&format!("https://{host}")) {
        return refuse(StatusCode::FORBIDDEN, foreign_form());
    }
    let cap = guard.cap_of(request.uri().path());
    let (parts, body) = request.into_parts();
    match tokio::time::timeout(PATIENCE, to_bytes(body, cap)).await {
        Err(_) => refuse(StatusCode::REQUEST_TIMEOUT, too_slow()),
        Ok(Err(_)) => refuse(StatusCode::PAYLOAD_TOO_LARGE, too_large(cap)),
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> String {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
}

/// A refusal in plain text: the page's templates belong to the role behind us.
fn refuse(status: StatusCode, problem: Problem) -> Response {
    (status, [(header::CONNECTION, "close")], problem.render()).into_response()
}

fn too_many(seconds: u64) -> Problem {
    Problem::new("PAG-206", "Too many requests", "this computer asks faster than the page allows", format!("wait {seconds} s and try again"))
}

fn unknown_name() -> Problem {
    let next = "open the page by one of the addresses that the console or `antihate setup-pin` shows";
    Problem::new("PAG-205", "This name does not belong to this node", "the address in the browser is not one of ours", next)
}

fn foreign_form() -> Problem {
    Problem::new("PAG-203", "The form was refused", "it was not sent from a page of this node", "open the page again and repeat the step there")
}

fn too_slow() -> Problem {
    Problem::new("PAG-208", "The request took too long", "its content did not arrive within 10 s", "try again on a better connection")
}

fn too_large(cap: usize) -> Problem {
    Problem::new("PAG-207", "The request is too large", format!("more than {} KiB were sent", cap / 1024), "send only what the field asks for")
}

async fn dress(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: with it browsers send `Origin: null` and the origin could not be checked.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        let one = NonZeroU32::MIN;
        Guard::new(Names::new(["Node.local".to_owned()]), one, one).cap("/enroll", 64 * 1024)
    }

    #[test]
    fn a_foreign_name_is_not_known_and_literal_addresses_are() {
        for ours in ["node.local", "NODE.LOCAL:8443", "192.0.2.17", "192.0.2.17:8443", "[2001:db8::1]:8443"] {
            assert!(guard().knows(ours), "{ours}");
        }
        for foreign in ["", "rebind.example", "node.local.rebind.example", "192.0.2.17.example:8443", "[x]"] {
            assert!(!guard().knows(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_name_that_is_lost_to_another_host_is_not_answered_to_any_more() {
        let names = Names::new(["leaf.local".into()]);
        let guard = Guard::new(names.clone(), NonZeroU32::MIN, NonZeroU32::MIN);
        names.set(["Leaf-2.local".into()]);
        assert!(guard.knows("leaf-2.local:8443") && !guard.knows("leaf.local:8443"));
    }

    #[test]
    fn one_client_is_one_ipv4_address_or_one_ipv6_network() {
        let ip = |s: &str| s.parse::<IpAddr>().expect("address");
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
        assert_eq!(network(ip("2001:db8::1")), network(ip("2001:db8::2")));
        assert_ne!(network(ip("2001:db8:0:1::1")), network(ip("2001:db8::1")));
    }

    #[test]
    fn a_client_that_asks_too_fast_is_held_and_others_are_not() {
        let guard = guard();
        let ip = |s: &str| s.parse::<IpAddr>().expect("address");
        assert!(guard.admits(ip("192.0.2.1")).is_ok());
        assert!(guard.admits(ip("192.0.2.1")).is_err());
        assert!(guard.admits(ip("192.0.2.2")).is_ok());
    }

    #[test]
    fn enrollment_takes_less_than_other_paths() {
        assert_eq!(guard().cap_of("/enroll/decode"), 64 * 1024);
        assert_eq!(guard().cap_of("/unlock"), BODY_CAP);
    }
}
