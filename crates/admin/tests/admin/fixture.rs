//! An API on a free port of its own, and a client that speaks to it in raw HTTP/1.

use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use evenkeel_admin::{By, Context, Explainer, Listener, Request, follow, serve};
use evenkeel_core::balance::{Availability, Load, Members, Server};
use evenkeel_core::health::{Administrative, State};
use evenkeel_core::route::RouteTable;
use evenkeel_core::snapshot::{
    Command, CommandDone, CommandError, Pool, PoolHandle, Purged, ServerState, Snapshot,
};
use evenkeel_observe::Registry;
use evenkeel_types::{Address, Clock, Time};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

/// Longer than any answer takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

const CONFIG: &str = r#"
[listener.web]
bind = ["127.0.0.1:8080", "[::1]:8080"]
pool = "app"

[pool.app]
algorithm = "least-connections"
backends = [
  { address = "127.0.0.1:5001", name = "a", weight = 3 },
  { address = "127.0.0.1:5002", name = "b", backup = true },
]

[pool.local]
backends = ["unix:/run/a.sock", "[::1]:5003"]
"#;

/// A running API.
pub struct Api {
    pub bound: Address,
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub registry: Arc<Registry>,
    pub leaving: Arc<AtomicBool>,
    /// What the control side was asked to do.
    pub commands: Arc<Mutex<Vec<Command>>>,
    /// And by whom.
    pub bys: Arc<Mutex<Vec<By>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Api {
    /// On TCP, without a token.
    pub fn start() -> Self {
        let (listener, bound) = tcp();
        Self::serve(listener, bound, None)
    }

    /// On TCP, with a token.
    pub fn with_token(token: &str) -> Self {
        let (listener, bound) = tcp();
        Self::serve(listener, bound, Some(token.into()))
    }

    /// On a unix socket.
    pub fn on_unix(path: PathBuf) -> Self {
        let listener = UnixListener::bind(&path).unwrap();
        Self::serve(Listener::Unix(listener), Address::Unix(path), None)
    }

    /// On a control socket whose process belongs to this user; it has a token, which other sockets would ask for.
    pub fn on_control(path: PathBuf, uid: u32) -> Self {
        let listener = UnixListener::bind(&path).unwrap();
        Self::serve(Listener::Control(listener, uid), Address::Unix(path), Some("0123456789abcdef".into()))
    }

    fn serve(listener: Listener, bound: Address, token: Option<String>) -> Self {
        let (context, mut requests) = context(bound.clone(), token);
        let (snapshot, registry) = (context.snapshot.clone(), context.registry.clone());
        let leaving = context.leaving.clone();
        let commands = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let bys = Arc::new(Mutex::new(Vec::new()));
        let (states, asked, by_whom) = (snapshot.clone(), commands.clone(), bys.clone());
        let thread = run(false, async move {
            let obey = async {
                while let Some(Request { command, answer, by, .. }) = requests.recv().await {
                    asked.lock().unwrap().push(command.clone());
                    by_whom.lock().unwrap().push(by);
                    let _ = answer.send(obey(&states, command));
                }
            };
            let (stopped, context) = (async { drop(stopped.await) }, Arc::new(context));
            tokio::select! {
                served = serve(vec![listener], Arc::clone(&context), stopped) => served.unwrap(),
                () = obey => panic!("the API has gone"),
                () = follow(context) => panic!("the sampler has gone"),
            }
        });
        Self { bound, snapshot, registry, leaving, commands, bys, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it is, if that is a port.
    pub fn address(&self) -> SocketAddr {
        match &self.bound {
            Address::Ip(address) => *address,
            other => panic!("{other} is no port"),
        }
    }

    /// One request, given as its lines without the last, empty one.
    pub fn ask(&self, head: &str, body: &str) -> Answer {
        let request = format!("{}\r\nconnection: close\r\n\r\n{body}", head.replace('\n', "\r\n"));
        match &self.bound {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                exchange(stream, &request)
            }
            _ => {
                let stream = TcpStream::connect(self.address()).unwrap();
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                exchange(stream, &request)
            }
        }
    }

    /// A request without a body.
    pub fn send(&self, method: &str, path: &str) -> Answer {
        self.ask(&format!("{method} {path} HTTP/1.1\nhost: localhost"), "")
    }

    /// A `GET`.
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path)
    }

    /// A `PUT` of JSON.
    pub fn put(&self, path: &str, body: &str) -> Answer {
        self.json("PUT", path, body)
    }

    /// A `POST` of JSON.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.json("POST", path, body)
    }

    fn json(&self, method: &str, path: &str, body: &str) -> Answer {
        let length = body.len();
        let head = "host: localhost\ncontent-type: application/json";
        self.ask(&format!("{method} {path} HTTP/1.1\n{head}\ncontent-length: {length}"), body)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// A free port.
pub fn tcp() -> (Listener, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bound = Address::Ip(listener.local_addr().unwrap());
    (Listener::Tcp(listener), bound)
}

/// What an API needs, and the commands that it sends.
pub fn context(bound: Address, token: Option<String>) -> (Context, mpsc::Receiver<Request>) {
    let (commands, requests) = mpsc::channel(8);
    let listening = ["127.0.0.1:8080", "[::1]:8080"].map(|a| ("web".into(), Address::listener(a).unwrap()));
    let context = Context {
        snapshot: Arc::new(ArcSwap::from_pointee(snapshot())),
        registry: Registry::new(2),
        clock: Clock::start(),
        commands,
        upgrades: mpsc::channel(1).0,
        listening: Arc::new(ArcSwap::from_pointee(listening.into())),
        leaving: Arc::default(),
        discoveries: Arc::default(),
        source: None,
        log_level: || "info".into(),
        awaiting: Arc::default(),
        token,
        bound: Some(bound),
        live: Default::default(),
        explainer: Explainer::new(|question| match question.url.as_str() {
            "ftp://x/" => Err("ftp:// is neither http:// nor https://".into()),
            _ => Ok(serde_json::json!({ "asked": question.lines(), "method": question.method })),
        }),
    };
    (context, requests)
}

/// Runs a future on a runtime of its own, whose clock may leap from timer to timer instead of waiting.
pub fn run(leap: bool, future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(leap)
            .build()
            .unwrap()
            .block_on(future)
    })
}

fn snapshot() -> Snapshot {
    let config = evenkeel_config::parse("test.toml", CONFIG).unwrap().config;
    let pools = config.pools.iter().map(|pool| {
        let server = |backend: &evenkeel_config::Backend| Server {
            id: backend.id.clone(),
            weight: backend.weight,
            backup: backend.backup,
            load: Arc::new(Load::default()),
        };
        let state = |backend: &evenkeel_config::Backend| ServerState {
            state: State::Up,
            reason: "GET /health answered 200".into(),
            since: Time::ZERO,
            weight: backend.weight,
            term: 0,
        };
        let servers = pool.backends.iter().map(|backend| (server(backend), Availability::Up)).collect();
        let servers = Pool {
            members: Arc::new(Members::new(&pool.algorithm, servers)),
            states: pool.backends.iter().map(state).collect(),
            cookie: None,
            panic: None,
            arrivals: Arc::default(),
            edition: 0,
            affinity: None,
            retries: Arc::default(),
            guard: None,
        };
        Arc::new(PoolHandle::new(Arc::new(pool.clone()), servers))
    });
    let pools = pools.collect();
    let routes = Arc::new(RouteTable::new(&config));
    Snapshot::new(7, Arc::new(config), routes, pools)
}

/// Does what a control side does with a command.
fn obey(present: &ArcSwap<Snapshot>, command: Command) -> Result<CommandDone, CommandError> {
    if let Command::Purge { .. } = command {
        return Ok(CommandDone::Purged(Purged { sequence: 17, objects: Some(0), host_objects: Some(0) }));
    }
    let mut next = Snapshot::clone(&present.load());
    next.generation += 1;
    if let Command::Server { pool, id, administrative, weight } = command {
        let unknown = || CommandError::NotFound(format!("the pool {pool} has no server {id}"));
        let at = next.config.pools.iter().position(|config| config.name == pool).ok_or_else(unknown)?;
        let state = next.pools[at].state();
        let mut pool = state.servers.clone();
        let server = pool.members.position(&id).ok_or_else(unknown)?;
        let mut states = pool.states.to_vec();
        match administrative {
            Some(Administrative::Drain) => states[server].state = State::Draining,
            Some(Administrative::Disable) => states[server].state = State::Disabled,
            Some(Administrative::Ready) => states[server].state = State::Up,
            None => {}
        }
        states[server].weight = weight.unwrap_or(states[server].weight);
        let availability = |at: usize| match states[at].state {
            State::Up => Availability::Up,
            _ => Availability::Out,
        };
        pool.members = Arc::new(pool.members.with(|at, _| (states[at].weight, availability(at))));
        pool.states = states.into();
        next.pools[at].publish(Arc::clone(&state.config), pool);
    }
    present.store(Arc::new(next));
    Ok(CommandDone::Done)
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Reads the text of a whole response.
    pub fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_ascii_lowercase(), body: body.into() }
    }

    /// The value of a field, its name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The body, parsed.
    pub fn json(&self) -> Value {
        assert_eq!(self.field("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// The text of a refusal.
    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

/// Sends a request and reads to the end of the connection.
pub fn exchange(mut stream: impl Read + Write, request: &str) -> Answer {
    // Who refuses early may close before it has read all.
    let _ = stream.write_all(request.as_bytes());
    Answer::parse(&read_to_end(&mut stream))
}

/// What arrives until the connection ends, well or badly; panics if it does not end.
pub fn read_to_end(stream: &mut impl Read) -> String {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => text.extend_from_slice(&chunk[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the connection did not end after {:?}", String::from_utf8_lossy(&text))
            }
            Err(_) => break,
        }
    }
    String::from_utf8(text).unwrap()
}
