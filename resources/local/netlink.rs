//! Links, addresses and routes of one network namespace, over route netlink.
//!
//! A [`Net`] keeps the network namespace in which it was opened, wherever its process goes afterwards.

use cloudtik_core::cidr::Cidr;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::fd::{AsFd, AsRawFd};
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
};

/// A request channel into one network namespace.
pub struct Net {
    socket: Socket,
    sequence: u32,
}

const NEW: u16 = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
const CHANGE: u16 = NLM_F_REQUEST | NLM_F_ACK;

impl Net {
    /// Into the calling thread's network namespace.
    pub fn here() -> io::Result<Net> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Net { socket, sequence: 0 })
    }

    fn ask(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence += 1;
        let mut packet = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(message));
        packet.header.flags = flags;
        packet.header.sequence_number = self.sequence;
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        self.answer()
    }

    /// Reads messages until the kernel says that it is done, or why not.
    fn answer(&mut self) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut found = Vec::new();
        loop {
            let (bytes, _) = self.socket.recv_from_full()?;
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let packet = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
                let length = (packet.header.length as usize).next_multiple_of(4);
                rest = rest.get(length..).unwrap_or_default();
                if packet.header.sequence_number != self.sequence {
                    continue;
                }
                match packet.payload {
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(found),
                    NetlinkPayload::InnerMessage(message) => found.push(message),
                    _ => {}
                }
            }
        }
    }

    fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.ask(message, flags).map(drop)
    }

    /// Every link: its name and number.
    pub fn links(&mut self) -> io::Result<Vec<(String, u32)>> {
        let all = self.ask(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_REQUEST | NLM_F_DUMP)?;
        let named = all.into_iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewLink(link) => {
                let name = link.attributes.into_iter().find_map(|a| match a {
                    LinkAttribute::IfName(name) => Some(name),
                    _ => None,
                });
                name.map(|name| (name, link.header.index))
            }
            _ => None,
        });
        Ok(named.collect())
    }

    pub fn index(&mut self, name: &str) -> io::Result<u32> {
        let found = self.links()?.into_iter().find(|(n, _)| n == name);
        found.map(|(_, index)| index).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no link {name}")))
    }

    pub fn take_up(&mut self, name: &str) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = self.index(name)?;
        up(&mut link);
        self.change(RouteNetlinkMessage::SetLink(link), CHANGE)
    }

    pub fn add_bridge(&mut self, name: &str) -> io::Result<()> {
        let mut link = named(name);
        up(&mut link);
        link.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]));
        self.change(RouteNetlinkMessage::NewLink(link), NEW)
    }

    /// A cable: `name` here, up and on `bridge`, and `peer` in the network namespace `inside`, still down.
    pub fn add_cable(&mut self, name: &str, bridge: &str, peer: &str, inside: impl AsFd) -> io::Result<()> {
        let bridge = self.index(bridge)?;
        let mut far = named(peer);
        far.attributes.push(LinkAttribute::NetNsFd(inside.as_fd().as_raw_fd()));
        let mut near = named(name);
        up(&mut near);
        near.attributes.push(LinkAttribute::Controller(bridge));
        let data = InfoData::Veth(InfoVeth::Peer(far));
        near.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth), LinkInfo::Data(data)]));
        self.change(RouteNetlinkMessage::NewLink(near), NEW)
    }

    /// Puts a cable on a bridge.
    pub fn attach(&mut self, cable: &str, bridge: &str) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = self.index(cable)?;
        link.attributes.push(LinkAttribute::Controller(self.index(bridge)?));
        self.change(RouteNetlinkMessage::SetLink(link), CHANGE)
    }

    /// Removes a link; nothing happens when there is none.
    pub fn remove(&mut self, name: &str) -> io::Result<()> {
        let index = match self.index(name) {
            Ok(index) => index,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut link = LinkMessage::default();
        link.header.index = index;
        match self.change(RouteNetlinkMessage::DelLink(link), CHANGE) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()), // went with its other end meanwhile
            done => done,
        }
    }

    /// Gives a link an address in its network.
    pub fn add_address(&mut self, link: &str, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = prefix;
        message.header.index = self.index(link)?;
        message.attributes.push(AddressAttribute::Local(IpAddr::V4(address)));
        message.attributes.push(AddressAttribute::Address(IpAddr::V4(address)));
        self.change(RouteNetlinkMessage::NewAddress(message), NEW)
    }

    /// Everything that has no nearer route goes by `gateway`.
    pub fn default_route(&mut self, gateway: Ipv4Addr) -> io::Result<()> {
        let mut message = route(RouteType::Unicast);
        message.attributes.push(RouteAttribute::Gateway(RouteAddress::Inet(gateway)));
        self.change(RouteNetlinkMessage::NewRoute(message), NEW)
    }

    /// Refuses everything to `network` that has no nearer route, with an answer to the sender.
    pub fn unreachable(&mut self, network: Cidr) -> io::Result<()> {
        let mut message = route(RouteType::Unreachable);
        message.header.destination_prefix_length = network.prefix;
        message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(network.base)));
        self.change(RouteNetlinkMessage::NewRoute(message), NEW)
    }
}

fn named(name: &str) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::IfName(name.into()));
    link
}

fn up(link: &mut LinkMessage) {
    link.header.flags |= LinkFlags::Up;
    link.header.change_mask |= LinkFlags::Up;
}

fn route(kind: RouteType) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Universe;
    message.header.kind = kind;
    message
}
