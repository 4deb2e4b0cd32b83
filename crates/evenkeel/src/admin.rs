//! The admin API of this process: where it listens, and the thread that it has to itself.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::absolute;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use evenkeel_admin::{Context, Explainer, Listener, Live, Request, Upgrade, follow};
use evenkeel_config::{Config, ControlSocket as Setting, Listener as ListenerConfig};
use evenkeel_core::overload::OverloadStep;
use evenkeel_net::ListenOptions;
use evenkeel_proxy::Shared;
use evenkeel_types::Address;
use rustix::process::geteuid;
use tokio::runtime::LocalRuntime;
use tokio::sync::{mpsc, oneshot};

use crate::control::Control;
use crate::control_socket::{self, ControlSocket, Unnamed};
use crate::explain::{self, Known, Question};
use crate::inherit::Inheritance;
use crate::log;
use crate::secret::token;
use crate::start_error::StartError;
use crate::upgrade::message::{Offered, Role};
use crate::wire::{runtime, spawn};

/// What stands in the place of a listener's name.
const NAME: &str = "admin";

/// The admin API before it is served.
pub struct Admin {
    tcp: Option<Place>,
    /// A duplicate of that, for a process that takes the place of this one.
    spare: Option<Spare>,
    control: Option<(Unnamed, UnixListener)>,
    token: Option<String>,
}

/// A socket, and its address.
type Place = (Listener, Address);

/// A socket and what it is called.
pub type Spare = Arc<(OwnedFd, Offered)>;

/// Binds the admin address, or takes its socket over. The default address may be taken: then there is none.
///
/// # Errors
/// What is configured cannot be bound, or the token cannot be read.
pub fn bind(config: &Config, inherited: &mut Inheritance) -> Result<Admin, StartError> {
    let token = match &config.admin.token_file {
        None => None,
        Some(path) => Some(token(path).map_err(|why| format!("admin.token_file: {why}"))?),
    };
    let (tcp, spare) = bind_address(config, inherited)?.unzip();
    Ok(Admin { tcp, spare: spare.flatten(), control: None, token })
}

fn bind_address(
    config: &Config,
    inherited: &mut Inheritance,
) -> Result<Option<(Place, Option<Spare>)>, StartError> {
    let Some(address) = &config.admin.bind else { return Ok(None) };
    let (bound, socket, activated) =
        match inherited.take(Role::Admin, (NAME, address), &ListenOptions::default())? {
            Some(mut taken) => (taken.address, taken.sockets.remove(0), taken.activated),
            None => match evenkeel_net::bind_alone(address) {
                Ok((bound, socket)) => (bound, socket, false),
                Err(error) if !config.admin.explicit => {
                    tracing::warn!(
                        "no admin address: {error}; name another one in `[admin] bind`, or with `--admin`"
                    );
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            },
        };
    tracing::info!("admin on {bound}");
    let configured = address.to_string();
    let offered = Offered { role: Role::Admin, listener: NAME.into(), configured, activated };
    let spare = socket.duplicate().ok().map(|descriptor| Arc::new((descriptor, offered)));
    let listener = match bound {
        Address::Unix(_) => Listener::Unix(socket.into()),
        _ => Listener::Tcp(TcpListener::from(socket)),
    };
    Ok(Some(((listener, bound), spare)))
}

impl Admin {
    /// The admin address, if there is one.
    pub fn address(&self) -> Option<Address> {
        self.tcp.as_ref().map(|(_, address)| address.clone())
    }

    /// A duplicate of the socket of the admin address, for a process that takes the place of this one.
    pub fn spare(&self) -> Option<Spare> {
        self.spare.clone()
    }

    /// Binds the control socket, which has its name once this is served. There may be no place for one by default: then the admin
    /// address is left.
    ///
    /// # Errors
    /// What is configured cannot be bound.
    pub fn open_control_socket(&mut self, config: &Config) -> Result<(), String> {
        self.control = match (control_socket::open(&config.admin.socket), &config.admin.socket) {
            (Ok(control), _) => control,
            (Err(why), Setting::Path(_)) => return Err(why),
            (Err(why), Setting::Auto | Setting::Off) => {
                tracing::warn!("{why}; commands find this process by its admin address alone");
                None
            }
        };
        Ok(())
    }

    /// What it reads, and where it sends what it is asked for.
    pub fn context(
        &self,
        control: &Control,
        leaving: Arc<AtomicBool>,
        commands: mpsc::Sender<Request>,
        upgrades: mpsc::Sender<Upgrade>,
    ) -> Context {
        Context {
            snapshot: Arc::clone(control.shared.snapshots()),
            registry: Arc::clone(&control.registry),
            clock: control.shared.clock,
            commands,
            upgrades,
            listening: Arc::clone(&control.listening),
            leaving,
            discoveries: Arc::clone(&control.servers.discoveries),
            source: control.source.as_deref().and_then(|path| absolute(path).ok()),
            log_level: log::level,
            awaiting: Arc::clone(&control.confirmation.awaiting),
            live: Live::default(),
            explainer: explainer(&control.shared),
            token: self.token.clone(),
            bound: self.address().filter(|address| matches!(address, Address::Ip(_))),
        }
    }

    /// Prepares a thread that serves it, so that `/healthz` and `/status` wait for no work of the control side.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn prepare(self, context: Context, stop: oneshot::Receiver<()>) -> Result<Prepared, String> {
        let (socket, unix) = self.control.unzip();
        let uid = geteuid().as_raw();
        let unix = unix.map(|listener| Listener::Control(listener, uid));
        let listeners: Vec<_> = self.tcp.map(|(listener, _)| listener).into_iter().chain(unix).collect();
        let (go, gone) = oneshot::channel();
        if listeners.is_empty() {
            return Ok(Prepared { thread: None, socket: None, go });
        }
        let (able, is_able) = std::sync::mpsc::channel();
        let run = move || {
            // Records and files are read for people, who can wait; requests of clients go first.
            let Some(runtime) = runtime("admin", evenkeel_net::lower_priority) else { return };
            let _ = able.send(());
            // Else the start has failed.
            if gone.blocking_recv().is_ok() {
                serve(&runtime, listeners, context, stop);
            }
        };
        let thread = spawn("admin", run)?;
        is_able.recv().map_err(|_| "cannot start the runtime of the thread `admin`")?;
        Ok(Prepared { thread: Some(thread), socket, go })
    }
}

/// All that it takes to serve the admin API.
pub struct Prepared {
    thread: Option<JoinHandle<()>>,
    socket: Option<Unnamed>,
    go: oneshot::Sender<()>,
}

impl Prepared {
    /// Serves it on a thread, which is returned. The control socket is there for as long as what is returned.
    pub fn start(self) -> (Option<JoinHandle<()>>, Option<ControlSocket>) {
        let named = self.socket.map(Unnamed::named).transpose();
        let named = named.unwrap_or_else(|why| {
            tracing::error!("{why}; commands find this process by its admin address alone");
            None
        });
        // The thread waits for nothing else.
        let _ = self.go.send(());
        (self.thread, named)
    }
}

/// Answers where requests would go as things are at that moment.
fn explainer(shared: &Arc<Shared>) -> Explainer {
    let shared = Arc::clone(shared);
    Explainer::new(move |asked| {
        let question = Question {
            method: asked.method.clone(),
            url: asked.url.clone(),
            headers: asked.lines(),
            client: asked.client,
            sni: asked.sni.clone(),
            listener: asked.listener.clone(),
        };
        let (snapshot, credentials) = (shared.snapshot(), shared.credentials());
        let coverage = |listener: &ListenerConfig, name: &str| {
            credentials.listeners.get(&listener.name).map(|tls| tls.coverage(Some(name)))
        };
        let steps = shared.registry.overload.iter().map(|step| step.value()).max();
        let step = OverloadStep::of(steps.and_then(|step| u8::try_from(step).ok()).unwrap_or_default());
        let listener = explain::listener(&snapshot.config, &question)?;
        Known { snapshot: &snapshot, coverage, now: shared.clock.now(), step }.answer(listener, &question)
    })
}

fn serve(runtime: &LocalRuntime, listeners: Vec<Listener>, context: Context, stop: oneshot::Receiver<()>) {
    let context = Arc::new(context);
    let served = runtime.block_on(async {
        tokio::task::spawn_local(follow(Arc::clone(&context)));
        evenkeel_admin::serve(listeners, context, async { drop(stop.await) }).await
    });
    if let Err(error) = served {
        tracing::error!(%error, "the admin API has failed");
    }
}
