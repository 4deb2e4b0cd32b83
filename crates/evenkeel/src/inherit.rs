//! The listening sockets that this process starts with: those of the process in whose place it comes, or those that systemd has
//! bound.

use evenkeel_config::{Config, Listener, Transport};
use evenkeel_net::{Inherited, ListenOptions, Socket};
use evenkeel_types::Address;

use crate::upgrade::message::Role;

/// Listening sockets that are bound already.
#[derive(Debug, Default)]
pub struct Inheritance(Vec<Heirloom>);

/// One of them.
#[derive(Debug)]
pub struct Heirloom {
    /// Where it stands among those that were offered.
    pub position: usize,
    /// What it is called where it comes from: the listener, or the name in systemd's unit.
    pub name: String,
    /// What it was for, if that is known.
    pub role: Option<Role>,
    /// The address as the configuration had it, if that is known.
    pub configured: Option<String>,
    /// Whether systemd has bound it.
    pub activated: bool,
    /// The socket.
    pub socket: Inherited,
}

/// Sockets of one address, taken over.
pub struct Taken {
    /// The address that they are bound to.
    pub address: Address,
    /// Whether systemd has bound them.
    pub activated: bool,
    /// The sockets.
    pub sockets: Vec<Socket>,
    /// Where they stood among those that were offered.
    pub positions: Vec<usize>,
}

impl Inheritance {
    /// These.
    pub fn of(heirlooms: Vec<Heirloom>) -> Self {
        Self(heirlooms)
    }

    /// What systemd has bound (sd_listen_fds(3)).
    ///
    /// # Errors
    /// One of them cannot be listened on.
    pub fn from_systemd() -> Result<Self, String> {
        let activated = evenkeel_net::activated().map_err(|error| format!("sockets of systemd: {error}"))?;
        let take = |(position, (name, descriptor))| {
            let socket = Inherited::take(descriptor)
                .map_err(|error| format!("the socket `{name}` of systemd cannot be used: {error}"))?;
            Ok(Heirloom { position, name, role: None, configured: None, activated: true, socket })
        };
        activated.into_iter().enumerate().map(take).collect::<Result<_, String>>().map(Self)
    }

    /// The sockets for an address of a listener, if there are any.
    ///
    /// # Errors
    /// An option is refused.
    pub fn take(
        &mut self,
        role: Role,
        (listener, address): (&str, &Address),
        options: &ListenOptions,
    ) -> Result<Option<Taken>, String> {
        let Some(bound) = self.bound(role, listener, address) else { return Ok(None) };
        let found: Vec<Heirloom> =
            self.0.extract_if(.., |it| it.is_for(role) && it.socket.address == bound).collect();
        let Some(first) = found.first() else { return Ok(None) };
        let (address, activated) = (first.socket.address.clone(), first.activated);
        let mut taken = Taken { address, activated, sockets: Vec::new(), positions: Vec::new() };
        for heirloom in found {
            taken.positions.push(heirloom.position);
            let socket = heirloom.socket.into_socket(options);
            taken
                .sockets
                .push(socket.map_err(|error| format!("cannot listen on {}: {error}", taken.address))?);
        }
        Ok(Some(taken))
    }

    /// At which address the sockets are that are for one of a listener. It may be another one where the configuration leaves something
    /// to the system, as the port in `127.0.0.1:0`; several listeners may say the same then.
    fn bound(&self, role: Role, listener: &str, address: &Address) -> Option<Address> {
        let configured = address.to_string();
        let fitting = || self.0.iter().filter(|it| it.is_for(role));
        let said = || fitting().filter(|it| it.configured.as_ref() == Some(&configured));
        let found = fitting()
            .find(|it| it.socket.address == *address)
            .or_else(|| said().find(|it| it.name == listener))
            .or_else(|| said().next())
            .or_else(|| fitting().find(|it| is_all(&it.socket.address, address)));
        found.map(|it| it.socket.address.clone())
    }

    /// The address, as it was configured, of a socket that is left, and the listener that would have its connections now because it
    /// listens on a wider address: closed, the socket would lose some.
    pub fn covered<'c>(&self, config: &'c Config) -> Option<(Role, Address, &'c Listener)> {
        self.0.iter().filter(|it| !it.activated).find_map(|it| {
            let role = it.role.filter(|role| *role != Role::Admin)?;
            let covers = |listener: &&Listener| {
                role_of(listener.transport()) == role
                    && listener.bind.iter().any(|wide| evenkeel_net::covers(wide, &it.socket.address))
            };
            Some((role, it.socket.address.clone(), config.listeners.iter().find(covers)?))
        })
    }

    /// # Errors
    /// Systemd has bound a socket that no listener has.
    pub fn refuse_left(self) -> Result<(), String> {
        let Some(left) = self.0.iter().find(|it| it.activated && it.role.is_none()) else { return Ok(()) };
        let kind = if left.socket.is_datagram { " (udp)" } else { "" };
        Err(format!(
            "systemd has passed the socket `{}` at {}{kind}, and no listener of the configuration has that address in `bind`: add it \
             to one, or take it out of the socket unit",
            left.name, left.socket.address
        ))
    }
}

impl Heirloom {
    fn is_for(&self, role: Role) -> bool {
        self.role.is_none_or(|known| known == role) && self.socket.is_datagram == (role == Role::Datagram)
    }
}

/// What sockets of a transport are for.
pub fn role_of(transport: Transport) -> Role {
    match transport {
        Transport::Stream => Role::Stream,
        Transport::Datagram => Role::Datagram,
    }
}

/// Whether a socket at `bound` is what `configured`, all addresses of this machine, comes to without IPv6.
fn is_all(bound: &Address, configured: &Address) -> bool {
    let (Address::Ip(bound), Address::Ip(configured)) = (bound, configured) else { return false };
    let are_all = bound.ip().is_unspecified() && configured.ip().is_unspecified();
    are_all && configured.is_ipv6() && bound.is_ipv4() && bound.port() == configured.port()
}
