//! Links, addresses and routes of this host, through rtnetlink: what is asked is what the kernel has now, and what is made may be
//! there already. Never decides what ought to be there.

use futures::{StreamExt, TryStreamExt};
use nix::errno::Errno;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType};
use rtnetlink::{AddressMessageBuilder, Handle, LinkUnspec, LinkWireguard, RouteMessageBuilder};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why the kernel did not do it.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It cannot be asked at all.
    #[error("the kernel cannot be asked about links")]
    Closed(#[source] std::io::Error),
    /// It refused.
    #[error("the kernel refuses to {doing}")]
    Refused { doing: String, #[source] source: Errno },
    /// The answer made no sense.
    #[error("the kernel's answer when asked to {doing} cannot be read")]
    Strange { doing: String, #[source] source: rtnetlink::Error },
}

impl LinkError {
    /// The kernel's reason.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            LinkError::Refused { source, .. } => Some(*source),
            _ => None,
        }
    }
}

/// What a link is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// WireGuard in the kernel.
    Wireguard,
    /// A process reads and writes its packets.
    Tun,
    /// Wraps packets into those of the network below.
    Vxlan,
    /// Anything else.
    Other,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// What it is.
    pub kind: Kind,
    /// Largest packet, bytes.
    pub mtu: u32,
    /// It is switched on.
    pub up: bool,
}

/// A way that was set by a program, in the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Network and prefix length.
    pub to: (IpAddr, u8),
    /// Number of the link.
    pub link: u32,
    /// The next host, where the network is not on the link itself.
    pub gateway: Option<IpAddr>,
    /// The address that this host's own packets get.
    pub source: Option<IpAddr>,
}

/// A way to ask the kernel.
pub struct Links(Handle);

/// Does `work` with a way to the kernel that lasts as long.
pub async fn with<T>(work: impl AsyncFnOnce(&Links) -> Result<T, LinkError>) -> Result<T, LinkError> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(LinkError::Closed)?;
    let links = Links(handle);
    tokio::select! {
        done = work(&links) => done,
        () = connection => Err(LinkError::Closed(std::io::ErrorKind::ConnectionAborted.into())),
    }
}

fn failed(doing: impl Into<String>) -> impl FnOnce(rtnetlink::Error) -> LinkError {
    let doing = doing.into();
    |e| match e {
        rtnetlink::Error::NetlinkError(ref m) => LinkError::Refused { doing, source: Errno::from_raw(-m.raw_code()) },
        source => LinkError::Strange { doing, source },
    }
}

/// What is gone already, or there already, is as it was asked for.
fn unless(fine: &[Errno], done: Result<(), LinkError>) -> Result<(), LinkError> {
    match done {
        Err(e) if e.errno().is_some_and(|n| fine.contains(&n)) => Ok(()),
        other => other,
    }
}

impl Links {
    /// The link called `name`.
    pub async fn link(&self, name: &str) -> Result<Option<Link>, LinkError> {
        let mut found = Box::pin(self.0.link().get().match_name(name).execute());
        match found.next().await {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(link(&message))),
            Some(Err(e)) => match failed(format!("look for the link {name}"))(e) {
                e if e.errno() == Some(Errno::ENODEV) => Ok(None),
                e => Err(e),
            },
        }
    }

    /// The link that has the address `ip`.
    pub async fn with_address(&self, ip: Ipv4Addr) -> Result<Option<Link>, LinkError> {
        let all: Vec<_> = self.0.address().get().execute().try_collect().await.map_err(failed("list addresses"))?;
        let has = |a: &AddressAttribute| matches!(a, AddressAttribute::Local(IpAddr::V4(found)) if *found == ip);
        let Some(index) = all.iter().find(|m| m.attributes.iter().any(has)).map(|m| m.header.index) else { return Ok(None) };
        let mut found = Box::pin(self.0.link().get().match_index(index).execute());
        Ok(found.try_next().await.map_err(failed("look for a link"))?.map(|message| link(&message)))
    }

    /// Makes a link of the kernel's own WireGuard.
    pub async fn add_wireguard(&self, name: &str) -> Result<(), LinkError> {
        let made = self.0.link().add(LinkWireguard::new(name).build()).execute().await;
        unless(&[Errno::EEXIST], made.map_err(failed(format!("make the link {name}"))))
    }

    /// Sets the largest packet and switches the link on.
    pub async fn set(&self, link: u32, mtu: u32) -> Result<(), LinkError> {
        let wanted = LinkUnspec::new_with_index(link).mtu(mtu).up().build();
        self.0.link().set(wanted).execute().await.map_err(failed("switch a link on"))
    }

    /// Removes a link with its addresses and routes.
    pub async fn remove(&self, link: u32) -> Result<(), LinkError> {
        unless(&[Errno::ENODEV], self.0.link().del(link).execute().await.map_err(failed("remove a link")))
    }

    /// The addresses of a link with their prefix lengths.
    pub async fn addresses(&self, link: u32) -> Result<Vec<(Ipv4Addr, u8)>, LinkError> {
        let all: Vec<_> = self.0.address().get().set_link_index_filter(link).execute().try_collect().await.map_err(failed("list addresses"))?;
        let local = |a: &AddressAttribute| if let AddressAttribute::Local(IpAddr::V4(ip)) = a { Some(*ip) } else { None };
        let of_link = all.iter().filter(|m| m.header.index == link);
        Ok(of_link.filter_map(|m| Some((m.attributes.iter().find_map(local)?, m.header.prefix_len))).collect())
    }

    /// Gives a link an address.
    pub async fn add_address(&self, link: u32, (ip, length): (Ipv4Addr, u8)) -> Result<(), LinkError> {
        let made = self.0.address().add(link, ip.into(), length).execute().await;
        unless(&[Errno::EEXIST], made.map_err(failed(format!("give a link the address {ip}/{length}"))))
    }

    /// Takes an address from a link.
    pub async fn remove_address(&self, link: u32, (ip, length): (Ipv4Addr, u8)) -> Result<(), LinkError> {
        let address = AddressMessageBuilder::<Ipv4Addr>::new().index(link).address(ip, length).build();
        let gone = self.0.address().del(address).execute().await;
        unless(&[Errno::EADDRNOTAVAIL], gone.map_err(failed(format!("take the address {ip}/{length} from a link"))))
    }

    /// Gives a link an IPv6 address that is its own alone.
    pub async fn add_address6(&self, link: u32, ip: Ipv6Addr) -> Result<(), LinkError> {
        let made = self.0.address().add(link, ip.into(), 128).execute().await;
        unless(&[Errno::EEXIST], made.map_err(failed(format!("give a link the address {ip}"))))
    }

    /// Takes such an address from a link.
    pub async fn remove_address6(&self, link: u32, ip: Ipv6Addr) -> Result<(), LinkError> {
        let address = AddressMessageBuilder::<Ipv6Addr>::new().index(link).address(ip, 128).build();
        let gone = self.0.address().del(address).execute().await;
        unless(&GONE6, gone.map_err(failed(format!("take the address {ip} from a link"))))
    }

    /// Takes a whole network as this host's own, on the link `lo`. What goes there is seen by the packet filter, which may send it on;
    /// what it does not send on ends here. (A plain route to `lo`, which does this for IPv4, means "unreachable" for IPv6.)
    pub async fn own(&self, lo: u32, network: (Ipv6Addr, u8)) -> Result<(), LinkError> {
        let made = self.0.route().add(local(lo, network)).execute().await;
        unless(&[Errno::EEXIST], made.map_err(failed(format!("take {}/{} as its own", network.0, network.1))))
    }

    /// Gives such a network up.
    pub async fn disown(&self, lo: u32, network: (Ipv6Addr, u8)) -> Result<(), LinkError> {
        let gone = self.0.route().del(local(lo, network)).execute().await;
        unless(&GONE6, gone.map_err(failed(format!("give {}/{} up", network.0, network.1))))
    }

    /// The ways of the main table that a program set, of both families.
    pub async fn routes(&self) -> Result<Vec<Route>, LinkError> {
        let mut found = Vec::new();
        for question in [RouteMessageBuilder::<Ipv4Addr>::new().build(), RouteMessageBuilder::<Ipv6Addr>::new().build()] {
            let all: Vec<RouteMessage> = self.0.route().get(question).execute().try_collect().await.map_err(failed("list routes"))?;
            found.extend(all.iter().filter_map(route));
        }
        Ok(found)
    }

    /// Sets a way, in the place of another one to the same network.
    pub async fn set_route(&self, wanted: &Route) -> Result<(), LinkError> {
        let made = self.0.route().add(message(wanted)).replace().execute().await;
        made.map_err(failed(format!("set the route to {}/{}", wanted.to.0, wanted.to.1)))
    }

    /// Removes a way.
    pub async fn remove_route(&self, old: &Route) -> Result<(), LinkError> {
        // Whoever set it, and however far it reaches: the kernel compares what is named.
        let mut named = message(old);
        (named.header.protocol, named.header.scope) = (RouteProtocol::Unspec, RouteScope::NoWhere);
        let gone = self.0.route().del(named).execute().await;
        unless(&[Errno::ESRCH], gone.map_err(failed(format!("remove the route to {}/{}", old.to.0, old.to.1))))
    }
}

/// What a kernel without IPv6 says, and one with it, of what is not there.
const GONE6: [Errno; 4] = [Errno::ESRCH, Errno::EADDRNOTAVAIL, Errno::EAFNOSUPPORT, Errno::EOPNOTSUPP];

fn link(message: &LinkMessage) -> Link {
    let mut found = Link { index: message.header.index, kind: Kind::Other, mtu: 0, up: message.header.flags.contains(LinkFlags::Up) };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Mtu(mtu) => found.mtu = *mtu,
            LinkAttribute::LinkInfo(all) if all.contains(&LinkInfo::Kind(InfoKind::Wireguard)) => found.kind = Kind::Wireguard,
            LinkAttribute::LinkInfo(all) if all.contains(&LinkInfo::Kind(InfoKind::Tun)) => found.kind = Kind::Tun,
            LinkAttribute::LinkInfo(all) if all.contains(&LinkInfo::Kind(InfoKind::Vxlan)) => found.kind = Kind::Vxlan,
            _ => {}
        }
    }
    found
}

fn route(message: &RouteMessage) -> Option<Route> {
    let h = &message.header;
    if h.table != RouteHeader::RT_TABLE_MAIN || h.protocol == RouteProtocol::Kernel {
        return None;
    }
    let everything = if h.address_family == AddressFamily::Inet6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let mut found = Route { to: (everything, h.destination_prefix_length), link: 0, gateway: None, source: None };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(to) => found.to.0 = address(to).unwrap_or(everything),
            RouteAttribute::Oif(link) => found.link = *link,
            RouteAttribute::Gateway(by) => found.gateway = address(by),
            RouteAttribute::PrefSource(from) => found.source = address(from),
            _ => {}
        }
    }
    Some(found)
}

fn address(of_route: &RouteAddress) -> Option<IpAddr> {
    match of_route {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

fn of_route(ip: IpAddr) -> RouteAddress {
    match ip {
        IpAddr::V4(ip) => RouteAddress::Inet(ip),
        IpAddr::V6(ip) => RouteAddress::Inet6(ip),
    }
}

fn message(route: &Route) -> RouteMessage {
    let mut m = match route.to {
        (IpAddr::V4(to), length) => RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to, length).output_interface(route.link).build(),
        (IpAddr::V6(to), length) => RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(to, length).output_interface(route.link).build(),
    };
    // IPv6 knows no such difference.
    if route.gateway.is_none() && route.to.0.is_ipv4() {
        m.header.scope = RouteScope::Link;
    }
    m.attributes.extend(route.gateway.map(|by| RouteAttribute::Gateway(of_route(by))));
    m.attributes.extend(route.source.map(|from| RouteAttribute::PrefSource(of_route(from))));
    m
}

/// The table of what is this host's own (linux/rtnetlink.h).
const LOCAL: u32 = 255;

fn local(lo: u32, (network, length): (Ipv6Addr, u8)) -> RouteMessage {
    let named = RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(network, length).output_interface(lo);
    named.kind(RouteType::Local).table_id(LOCAL).build()
}

/// Does asynchronous `work` from code that blocks, on a thread of its own.
pub fn blocking<T: Send>(work: impl AsyncFnOnce(&Links) -> Result<T, LinkError> + Send) -> Result<T, LinkError> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LinkError::Closed)?;
        runtime.block_on(with(work))
    };
    std::thread::scope(|scope| scope.spawn(run).join().expect("asking the kernel does not panic"))
}
