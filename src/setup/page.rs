//! The page as a whole: opened by the host or the preview before anything else, served until they stop.

use super::desk::{Desk, Told};
use super::render::Pages;
use super::{Provider, pin_file, routes};
use crate::pki::page::{self as certificate, PageCertificate};
use crate::status::{PageAt, Problem};
use crate::web::address::{host_name, is_label, local_addresses};
use crate::web::guard::{Guard, Names, protect};
use crate::web::{self, Tls};
use axum::Router;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Requests of one client: a page with its files at once, and then as fast as a person clicks.
const A_SECOND: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
const AT_ONCE: NonZeroU32 = NonZeroU32::new(80).expect("not zero");
/// How often the PIN's age is looked at.
const TICK: Duration = Duration::from_secs(2);
/// How often the certificate's age and the host's addresses are looked at.
const LOOK: Duration = Duration::from_secs(60);

/// Where the page listens and where it keeps its things.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address and port; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Data root: certificate in `pki/page`, users in `users.json`, audit log in `logs/audit.log`.
    pub data: PathBuf,
    /// Run directory: the PIN in `setup-pin`.
    pub run: PathBuf,
    /// Name of the node.
    pub node: String,
    /// The name of the local network that the host answers to, such as `antihate-7f3a.local`; it may change. None where it has none.
    pub name: watch::Receiver<Option<String>>,
}

/// What a person needs to open the page.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Addresses, the best one first.
    pub addresses: Vec<String>,
    /// SHA-256 of the certificate, as the browser shows it.
    pub fingerprint: String,
    /// Where root reads the PIN.
    pub pin_file: PathBuf,
    /// The PIN at this moment; none once the node is claimed.
    pub pin: Option<String>,
}

/// An opened page: it listens, and answers once it is served.
pub struct Page {
    desk: Arc<Desk>,
    listener: TcpListener,
    tls: Tls,
    router: Router,
    place: Place,
    pin_file: PathBuf,
    names: Names,
}

/// What the certificate depends on.
struct Place {
    /// As bound: never port 0.
    bind: SocketAddr,
    dir: PathBuf,
    fixed: Vec<String>,
    name: watch::Receiver<Option<String>>,
}

impl Place {
    /// The names of this moment.
    fn names(&self) -> Vec<String> {
        let mut all = self.fixed.clone();
        all.extend(self.name.borrow().clone().filter(|name| !self.fixed.contains(name)));
        all
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        match self.bind.ip() {
            ip if ip.is_unspecified() => local_addresses().into_iter().chain(loopback).collect(),
            ip => vec![ip],
        }
    }

    fn certificate(&self) -> Result<PageCertificate, Problem> {
        certificate::ensure(&self.dir, &self.names(), &self.addresses(), OffsetDateTime::now_utc()).map_err(|e| no_certificate(&self.dir, &e))
    }

    /// Addresses to tell: an outer one first, names after it.
    fn urls(&self) -> Vec<String> {
        let suffix = if self.bind.port() == 443 { String::new() } else { format!(":{}", self.bind.port()) };
        let host = |ip: &IpAddr| match ip {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        };
        let addresses = self.addresses();
        let (inner, outer): (Vec<&IpAddr>, Vec<&IpAddr>) = addresses.iter().partition(|ip| ip.is_loopback());
        let shown = if outer.is_empty() { inner } else { outer };
        // Who listens at an IPv4 address alone is not reached by the others.
        let heard = shown.into_iter().filter(|ip| ip.is_ipv4() || self.bind.is_ipv6());
        let held = self.name.borrow().clone();
        let names = match held {
            Some(name) => vec![name],
            // Somebody else on this host may answer to these.
            None if self.bind.ip().is_unspecified() => self.fixed.iter().filter(|n| n.ends_with(".local")).cloned().collect(),
            None => Vec::new(),
        };
        heard.map(host).chain(names).map(|h| format!("https://{h}{suffix}")).collect()
    }

    /// What is told of a page with this certificate.
    fn told(&self, made: PageCertificate) -> Told {
        Told { at: PageAt { addresses: self.urls(), fingerprint: made.fingerprint, name: self.name.borrow().clone() }, authority: made.ca_pem }
    }
}

impl Page {
    /// Listens, makes what is missing of certificate and PIN, and is ready to be served.
    pub fn open(options: Options, provider: Arc<dyn Provider>) -> Result<Page, Problem> {
        let listener = web::listen(options.bind).map_err(|e| no_address(options.bind, &e))?;
        let bound = listener.local_addr().map_err(|e| no_address(options.bind, &e))?;
        let place = Place { bind: bound, dir: options.data.join("pki/page"), fixed: names(&options.node), name: options.name };
        let made = place.certificate()?;
        let tls = Tls::new(&made.chain, &made.key).map_err(|e| no_certificate(&place.dir, &e))?;
        let told = place.told(made);
        let pages = Pages::new(&options.node, &told.at.fingerprint).map_err(|e| no_templates(&e))?;
        let pin_file = pin_file::path(&options.run);
        let desk = Arc::new(Desk::new(provider, pages, &options.data, pin_file.clone(), told));
        desk.tell_pin().map_err(|e| no_pin(&pin_file, &e))?;
        let names = Names::new(place.names());
        let router = guarded(&desk, names.clone());
        Ok(Page { desk, listener, tls, router, place, pin_file, names })
    }

    /// What the console tells; the PIN in it is the one of this moment.
    pub fn invitation(&self) -> Invitation {
        let told = self.desk.told().at;
        Invitation { addresses: told.addresses, fingerprint: told.fingerprint, pin: self.desk.pin(), pin_file: self.pin_file.clone() }
    }

    /// Where the page is reached and what it is known by, and how that changes.
    pub fn watch_told(&self) -> watch::Receiver<Told> {
        self.desk.watch_told()
    }

    /// The address that was taken.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`; open pages get 2 s to end.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), Problem> {
        let bind = self.place.bind;
        let ticking = tick(self.desk.clone());
        let renewing = renew(self.place, self.tls.clone(), self.desk.clone(), self.names);
        let desk = self.desk;
        let ended = web::serve(self.listener, self.tls, self.router, stop.clone());
        tokio::pin!(ended);
        let result = tokio::select! {
            result = &mut ended => result,
            () = ticking => unreachable!("the clock does not end"),
            () = renewing => unreachable!("the clock does not end"),
            () = stop.cancelled() => { desk.stop.cancel(); ended.await }
        };
        result.map_err(|e| no_address(bind, &e))
    }
}

/// The routes behind their guard.
pub(super) fn guarded(desk: &Arc<Desk>, names: Names) -> Router {
    let guard = Guard::new(names, A_SECOND, AT_ONCE).cap("/enroll", 64 * 1024).cap("/unlock", 4 * 1024).cap("/owner", 4 * 1024).cap("/login", 4 * 1024).cap("/recover", 4 * 1024);
    protect(routes::router(desk.clone()), guard)
}

/// Names under which the page answers: the host's, the node's, and `localhost`.
fn names(node: &str) -> Vec<String> {
    let host = host_name();
    let node = node.to_lowercase();
    let mut names: Vec<String> = Vec::new();
    for label in [host, node].into_iter().filter(|l| is_label(l)) {
        names.extend([format!("{label}.local"), label]);
    }
    names.push("localhost".into());
    names.dedup();
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|n| seen.insert(n.clone()));
    names
}

async fn tick(desk: Arc<Desk>) {
    loop {
        tokio::time::sleep(TICK).await;
        desk.tick();
    }
}

/// Follows the host's addresses and name and the certificate's age. What fails is tried again at the next look.
async fn renew(mut place: Place, tls: Tls, desk: Arc<Desk>, names: Names) {
    let mut known = (place.addresses(), place.names());
    let mut looks = 0u32;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => looks += 1,
            () = changed(&mut place.name) => {}
        }
        let now = (place.addresses(), place.names());
        names.set(now.1.clone());
        if now == known && looks % 60 != 0 {
            continue;
        }
        let renewed = place.certificate().and_then(|made| {
            tls.replace(&made.chain, &made.key).map_err(|e| no_certificate(&place.dir, &e))?;
            Ok(place.told(made))
        });
        match renewed {
            Ok(told) => {
                known = now;
                desk.retell(told);
            }
            Err(problem) => tracing::warn!(%problem, cause = problem.cause, "the page keeps its old certificate"),
        }
    }
}

/// Waits for another name; where nobody looks after names, for ever.
async fn changed(name: &mut watch::Receiver<Option<String>>) {
    if name.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |e| e.source()).fold(error.to_string(), |all, e| format!("{all}: {e}"))
}

fn no_address(bind: SocketAddr, error: &dyn std::error::Error) -> Problem {
    let next = format!("find who uses the port with `ss -ltnp 'sport = :{}'`, end it, or choose another address for the page", bind.port());
    Problem::new("PAG-101", format!("The page cannot be served on {bind}"), chain(error), next)
}

fn no_certificate(dir: &Path, error: &dyn std::error::Error) -> Problem {
    Problem::new("PAG-102", "The page has no certificate", chain(error), format!("check that {} can be written and that its disk has room", dir.display()))
}

fn no_pin(file: &Path, error: &dyn std::error::Error) -> Problem {
    Problem::new("PAG-103", "The PIN cannot be told", chain(error), format!("check that {} can be written", file.display()))
}

fn no_templates(error: &dyn std::error::Error) -> Problem {
    Problem::new("PAG-104", "The page cannot be shown", chain(error), "this build is damaged: use another file")
}
