//! The socket of the admin API: bound at the start, or taken over.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use evenkeel_config::Config;
use evenkeel_net::{ListenOptions, Socket};
use evenkeel_types::Address;

use crate::inherit::Inheritance;
use crate::secret::token;
use crate::start_error::StartError;
use crate::upgrade::message::{Offered, Role};

/// What stands in the place of a listener's name.
const ADMIN: &str = "admin";

/// The socket of the admin API, and what its requests must carry.
pub struct AdminSocket {
    /// The socket.
    pub listener: evenkeel_admin::Listener,
    /// Its address.
    pub address: Address,
    /// The token.
    pub token: Option<String>,
    /// A duplicate, for the process that may take the place of this one; none if no descriptor was left.
    pub spare: Option<Arc<(OwnedFd, Offered)>>,
}

/// Binds the admin address, or takes its socket over. The default one may be taken: then there is no admin API.
///
/// # Errors
/// The token cannot be read, or the address not bound.
pub fn bind(config: &Config, inherited: &mut Inheritance) -> Result<Option<AdminSocket>, StartError> {
    let Some(address) = &config.admin.bind else { return Ok(None) };
    let token = match &config.admin.token_file {
        None => None,
        Some(path) => Some(token(path).map_err(|why| format!("admin.token_file: {why}"))?),
    };
    let (bound, socket, activated) =
        match inherited.take(Role::Admin, (ADMIN, address), &ListenOptions::default())? {
            Some(mut taken) => (taken.address, taken.sockets.remove(0), taken.activated),
            None => match evenkeel_net::bind_alone(address) {
                Ok((bound, socket)) => (bound, socket, false),
                Err(error) if !config.admin.explicit => {
                    tracing::warn!("no admin API: {error}; name another address in [admin] bind");
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            },
        };
    tracing::info!("admin on {bound}");
    let offered =
        Offered { role: Role::Admin, listener: ADMIN.into(), configured: address.to_string(), activated };
    let spare = socket.duplicate().ok().map(|descriptor| Arc::new((descriptor, offered)));
    let listener = listener(&bound, socket);
    Ok(Some(AdminSocket { listener, address: bound, token, spare }))
}

fn listener(bound: &Address, socket: Socket) -> evenkeel_admin::Listener {
    match bound {
        Address::Unix(_) => evenkeel_admin::Listener::Unix(socket.into()),
        _ => evenkeel_admin::Listener::Tcp(socket.into()),
    }
}
