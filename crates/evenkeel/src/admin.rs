//! The admin API of this process: where it listens, and the thread that it has to itself.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::absolute;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use evenkeel_admin::{Context, Listener, Request};
use evenkeel_config::{Config, ControlSocket as Setting};
use evenkeel_types::Address;
use rustix::process::geteuid;
use tokio::sync::{mpsc, oneshot};

use crate::control::Control;
use crate::control_socket::{self, ControlSocket};
use crate::secret::token;
use crate::wire::{StartError, runtime, spawn};

/// The admin API before it is served.
pub struct Admin {
    tcp: Option<(Listener, Address)>,
    control: Option<(ControlSocket, UnixListener)>,
    token: Option<String>,
}

/// Binds the admin address and the control socket. The default address may be taken, and there may be no place for a socket by
/// default: then the other one is left.
///
/// # Errors
/// What is configured cannot be bound, or the token cannot be read.
pub fn bind(config: &Config) -> Result<Admin, StartError> {
    let token = match &config.admin.token_file {
        None => None,
        Some(path) => Some(token(path).map_err(|why| format!("admin.token_file: {why}"))?),
    };
    let control = match (control_socket::open(&config.admin.socket), &config.admin.socket) {
        (Ok(control), _) => control,
        (Err(why), Setting::Path(_)) => return Err(why.into()),
        (Err(why), Setting::Auto | Setting::Off) => {
            tracing::warn!("{why}; commands find this process by its admin address alone");
            None
        }
    };
    Ok(Admin { tcp: bind_address(config)?, control, token })
}

fn bind_address(config: &Config) -> Result<Option<(Listener, Address)>, StartError> {
    let Some(address) = &config.admin.bind else { return Ok(None) };
    let (bound, socket) = match evenkeel_net::bind_alone(address) {
        Ok(bound) => bound,
        Err(error) if !config.admin.explicit => {
            tracing::warn!("no admin address: {error}; name another one in [admin] bind");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    tracing::info!("admin on {bound}");
    let listener = match bound {
        Address::Unix(_) => Listener::Unix(socket.into()),
        _ => Listener::Tcp(TcpListener::from(socket)),
    };
    Ok(Some((listener, bound)))
}

impl Admin {
    /// The admin address, if there is one.
    pub fn address(&self) -> Option<Address> {
        self.tcp.as_ref().map(|(_, address)| address.clone())
    }

    /// Serves it on a thread of its own, so that `/healthz` and `/status` wait for no work of the control side. The control socket is there for as long
    /// as what is returned.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(
        self,
        control: &Control,
        leaving: Arc<AtomicBool>,
        commands: mpsc::Sender<Request>,
        stop: oneshot::Receiver<()>,
    ) -> Result<Option<ControlSocket>, String> {
        let Self { tcp, control: socket, token } = self;
        let (listener, address) = tcp.unzip();
        let (socket, unix) = socket.unzip();
        let uid = geteuid().as_raw();
        let unix = unix.map(|listener| Listener::Control(listener, uid));
        let listeners: Vec<_> = listener.into_iter().chain(unix).collect();
        if listeners.is_empty() {
            return Ok(None);
        }
        let context = Context {
            snapshot: Arc::clone(control.shared.snapshots()),
            registry: Arc::clone(&control.registry),
            clock: control.shared.clock,
            commands,
            listening: Arc::clone(&control.listening),
            leaving,
            discoveries: Arc::clone(&control.servers.discoveries),
            source: control.source.as_deref().and_then(|path| absolute(path).ok()),
            awaiting: Arc::clone(&control.confirmation.awaiting),
            token,
            bound: address.filter(|address| matches!(address, Address::Ip(_))),
        };
        spawn("admin", move || serve(listeners, context, stop))?;
        Ok(socket)
    }
}

fn serve(listeners: Vec<Listener>, context: Context, stop: oneshot::Receiver<()>) {
    let Some(runtime) = runtime("admin") else { return };
    let served = evenkeel_admin::serve(listeners, context, async { drop(stop.await) });
    if let Err(error) = runtime.block_on(served) {
        tracing::error!(%error, "the admin API has failed");
    }
}
