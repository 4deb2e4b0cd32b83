//! The admin API of this process: where it listens, and the thread that it has to itself.

use std::net::TcpListener;
use std::path::absolute;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use evenkeel_admin::{Context, Listener, Live, Request, follow};
use evenkeel_config::Config;
use evenkeel_types::Address;
use tokio::sync::{mpsc, oneshot};

use crate::control::Control;
use crate::secret::token;
use crate::wire::{StartError, runtime, spawn};

/// The admin API before it is served.
pub struct Admin {
    listener: Listener,
    /// Where it listens.
    pub address: Address,
    token: Option<String>,
}

/// Binds the admin address. The default one may be taken: then there is no admin API.
///
/// # Errors
/// The configured address cannot be bound, or the token cannot be read.
pub fn bind(config: &Config) -> Result<Option<Admin>, StartError> {
    let Some(address) = &config.admin.bind else { return Ok(None) };
    let token = match &config.admin.token_file {
        None => None,
        Some(path) => Some(token(path).map_err(|why| format!("admin.token_file: {why}"))?),
    };
    let (bound, socket) = match evenkeel_net::bind_alone(address) {
        Ok(bound) => bound,
        Err(error) if !config.admin.explicit => {
            tracing::warn!("no admin API: {error}; name another address in [admin] bind");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    tracing::info!("admin on {bound}");
    let listener = match bound {
        Address::Unix(_) => Listener::Unix(socket.into()),
        _ => Listener::Tcp(TcpListener::from(socket)),
    };
    Ok(Some(Admin { listener, address: bound, token }))
}

impl Admin {
    /// Serves it on a thread of its own, so that `/healthz` and `/status` wait for no work of the control side.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(
        self,
        control: &Control,
        leaving: Arc<AtomicBool>,
        commands: mpsc::Sender<Request>,
        stop: oneshot::Receiver<()>,
    ) -> Result<(), String> {
        let Self { listener, address, token } = self;
        let context = Context {
            snapshot: Arc::clone(control.shared.snapshots()),
            registry: Arc::clone(&control.registry),
            clock: control.shared.clock,
            commands,
            listening: Arc::clone(&control.listening),
            leaving,
            discoveries: Arc::clone(&control.servers.discoveries),
            source: control.source.as_deref().and_then(|path| absolute(path).ok()),
            token,
            bound: address,
            live: Live::default(),
        };
        spawn("admin", move || serve(listener, context, stop))?;
        Ok(())
    }
}

fn serve(listener: Listener, context: Context, stop: oneshot::Receiver<()>) {
    let Some(runtime) = runtime("admin") else { return };
    let context = Arc::new(context);
    let served = runtime.block_on(async {
        tokio::task::spawn_local(follow(Arc::clone(&context)));
        evenkeel_admin::serve(listener, context, async { drop(stop.await) }).await
    });
    if let Err(error) = served {
        tracing::error!(%error, "the admin API has failed");
    }
}
