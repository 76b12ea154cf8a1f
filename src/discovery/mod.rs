//! Multicast DNS (RFC 6762): this host answers to `NAME.local` on its own links and offers its page as a service. Sole home of mdns-sd.
//!
//! A name lives through: asked for (three questions, a quarter of a second apart), announced, held. Where another host answers for it, in
//! the beginning or later (two networks become one), the questions begin anew, and who loses takes the next number. Links and addresses
//! may come and go; what others than real links carry is never told. It decides nothing about the page and never ends for a fault of
//! the network: it says what is wrong and tries again.

mod name;

pub use name::Name;

use mdns_sd::{DaemonEvent, HostnameResolutionEvent, IfKind, IfPredicate, RRType, Receiver, ServiceDaemon, ServiceInfo};
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The kind of service as which a page is offered.
const SERVICE: &str = "_https._tcp.local.";
/// How often links and addresses are looked at, seconds.
const LOOK: u32 = 3;
/// How often it is asked whether somebody else answers to the name.
const DOUBT: Duration = Duration::from_secs(60);
/// How long answers to that are waited for.
const ANSWERS: Duration = Duration::from_secs(2);
/// After a fault, and between two names.
const AGAIN: Duration = Duration::from_secs(30);
const BREATH: Duration = Duration::from_millis(300);
/// For the words of parting.
const FAREWELL: Duration = Duration::from_millis(500);

/// Whether an address of a link, by the link's name, is one that others may be told.
pub type Outer = Arc<dyn Fn(&str, IpAddr) -> bool + Send + Sync>;

/// What is answered.
pub struct Responder {
    /// The name to ask for first.
    pub name: Name,
    /// How the page is called among services.
    pub title: String,
    /// Its port.
    pub port: u16,
    /// Which addresses are told.
    pub outer: Outer,
}

/// How one try with one name ended.
enum End {
    /// It is to end.
    Asked,
    /// Another host has the name.
    Taken,
    /// Somebody else answers to the name, too: it has to be asked for anew.
    Contested,
    /// It cannot answer at all.
    Broken(String),
}

impl Responder {
    /// Answers until `stop`. `tell` hears the name whenever one holds.
    pub async fn run(mut self, tell: impl Fn(&Name), stop: CancellationToken) {
        loop {
            let pause = match self.answer(&tell, &stop).await {
                End::Asked => return,
                End::Taken => {
                    tracing::warn!(name = self.name.full(), next = self.name.next().full(), "another host of this network has the name");
                    self.name = self.name.next();
                    BREATH
                }
                End::Contested => {
                    tracing::warn!(name = self.name.full(), "another host answers to this name, too: it is asked for anew");
                    BREATH
                }
                End::Broken(why) => {
                    tracing::warn!(why, "names of the local network are not answered to; it is tried again");
                    AGAIN
                }
            };
            tokio::select! { () = tokio::time::sleep(pause) => {}, () = stop.cancelled() => return }
        }
    }

    /// Asks for one name and answers to it. Each try has a daemon of its own, which remembers nothing of an earlier one.
    async fn answer(&self, tell: &impl Fn(&Name), stop: &CancellationToken) -> End {
        let (daemon, events) = match self.begin() {
            Ok(begun) => begun,
            Err(e) => return End::Broken(e.to_string()),
        };
        let end = tokio::select! {
            end = self.watch(&daemon, &events, tell) => end,
            () = stop.cancelled() => End::Asked,
        };
        // With what it says at its parting others forget the name at once.
        if let Ok(done) = daemon.shutdown() {
            drop(tokio::time::timeout(FAREWELL, done.recv_async()).await);
        }
        end
    }

    fn begin(&self) -> mdns_sd::Result<(ServiceDaemon, Receiver<DaemonEvent>)> {
        let daemon = ServiceDaemon::new()?;
        let outer = self.outer.clone();
        // First none, then those: a host with many links would otherwise come to the kernel's limit of groups before its real one joined.
        daemon.disable_interface(IfKind::All)?;
        daemon.enable_interface(IfKind::Predicate(IfPredicate::new(move |link| outer(&link.name, link.ip()))))?;
        daemon.set_ip_check_interval(LOOK)?;
        let events = daemon.monitor()?;
        let no_text: &[(&str, &str)] = &[];
        let host = format!("{}.", self.name.full());
        daemon.register(ServiceInfo::new(SERVICE, &format!("{} {}", self.title, self.name.label()), &host, (), self.port, no_text)?.enable_addr_auto())?;
        Ok((daemon, events))
    }

    async fn watch(&self, daemon: &ServiceDaemon, events: &Receiver<DaemonEvent>, tell: &impl Fn(&Name)) -> End {
        let mut doubt = tokio::time::interval(DOUBT);
        doubt.reset();
        loop {
            let event = tokio::select! {
                event = events.recv_async() => event,
                _ = doubt.tick() => {
                    match self.is_contested(daemon).await {
                        Ok(false) => continue,
                        Ok(true) => return End::Contested,
                        Err(e) => return End::Broken(e.to_string()),
                    }
                }
            };
            match event {
                Ok(DaemonEvent::Announce(..)) => tell(&self.name),
                Ok(DaemonEvent::NameChange(change)) if matches!(change.rr_type, RRType::A | RRType::AAAA) => return End::Taken,
                Ok(DaemonEvent::Error(e)) => tracing::debug!(error = %e, "multicast DNS"),
                Ok(_) => {}
                Err(_) => return End::Broken("its thread ended".into()),
            }
        }
    }

    /// Asks for the own name as anybody would: an address that is not ours is another host's.
    async fn is_contested(&self, daemon: &ServiceDaemon) -> mdns_sd::Result<bool> {
        let host = format!("{}.", self.name.full());
        let answers = daemon.resolve_hostname(&host, None)?;
        let mut heard = HashSet::new();
        let listen = async {
            while let Ok(event) = answers.recv_async().await {
                if let HostnameResolutionEvent::AddressesFound(_, found) = event {
                    heard.extend(found.iter().map(|ip| ip.to_ip_addr()));
                }
            }
        };
        drop(tokio::time::timeout(ANSWERS, listen).await);
        daemon.stop_resolve_hostname(&host)?;
        let own: HashSet<IpAddr> = own_addresses();
        Ok(heard.iter().any(|ip| !own.contains(ip)))
    }
}

/// All addresses of this host: those of inner links, too, for what is ours is no other host's.
fn own_addresses() -> HashSet<IpAddr> {
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten().filter_map(|i| i.address);
    let ip = |a: nix::sys::socket::SockaddrStorage| match (a.as_sockaddr_in(), a.as_sockaddr_in6()) {
        (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
        (_, Some(v6)) => Some(IpAddr::V6(v6.ip())),
        _ => None,
    };
    all.filter_map(ip).collect()
}
