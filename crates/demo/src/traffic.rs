//! The demo's own clients: a handful of connections that they keep, whose gentle load makes the figures move.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use evenkeel_load::Wire;
use hdrhistogram::Histogram;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::figures::Latency;
use super::kind::Kind;
use super::messages::Session;

/// Connections. Enough that the slow server's answers do not hold up the others.
const CLIENTS: usize = 24;
/// Requests or messages a second in the middle of the wave.
const RATE: f64 = 150.0;
/// How far the wave goes up and down.
const RATE_SWING: f64 = 50.0;
/// From one crest of the wave to the next.
const WAVE: Duration = Duration::from_secs(20);
/// What a client waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long a client of TCP keeps a connection, in milliseconds, evenly spread: long for a message, and short enough for
/// a server that comes back to get connections soon.
const KEPT_MS: RangeInclusive<u64> = 2_000..=6_000;
/// Letters of a message.
const LETTERS: RangeInclusive<usize> = 20..=200;

/// What the clients have seen so far.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Answers and failures, of requests or messages.
    pub exchanges: u64,
    /// Those without a complete answer, which is a 200 over HTTP.
    pub failed: u64,
    /// The same, by what was wrong.
    pub faults: BTreeMap<Fault, u64>,
    /// TCP connections that broke. Their clients have opened others, and said again what was not answered.
    pub reconnects: u64,
    /// Microseconds, of what did not fail.
    took_us: Histogram<u64>,
}

/// Why a request or a message failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The balancer took no connection.
    Connect,
    /// The connection broke before the answer was complete.
    Broken,
    /// What came was not the answer, or too long.
    Malformed,
    /// Nothing came within 5 s.
    Timeout,
    /// Another status than 200.
    Status(u16),
}

/// Clients that run until they are stopped.
#[derive(Debug)]
pub struct Traffic {
    tally: Arc<Mutex<Tally>>,
    stop: watch::Sender<()>,
    thread: JoinHandle<()>,
}

impl Traffic {
    /// Sends requests or messages to `target` from now on.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(kind: Kind, target: SocketAddr) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tally = Arc::new(Mutex::new(Tally::new()));
        let (stop, stopped) = watch::channel(());
        let counted = Arc::clone(&tally);
        let thread = std::thread::Builder::new().name("traffic".into()).spawn(move || {
            runtime.block_on(async {
                let mut clients = tokio::task::JoinSet::new();
                for _ in 0..CLIENTS {
                    clients.spawn(client(Kept::new(kind), target, Arc::clone(&counted), stopped.clone()));
                }
                clients.join_all().await;
            });
        })?;
        Ok(Self { tally, stop, thread })
    }

    /// What was seen so far.
    pub fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    /// Lets what is under way finish and sends nothing more.
    pub fn stop(self) -> Tally {
        drop(self.stop);
        let _ = self.thread.join();
        lock(&self.tally).clone()
    }
}

impl Tally {
    fn new() -> Self {
        // Two digits are what the screen shows, and nothing takes longer than ANSWER_MAX.
        let longest_us = u64::try_from(ANSWER_MAX.as_micros()).unwrap_or(u64::MAX);
        let took_us = Histogram::new_with_max(longest_us, 2).expect("two digits and that range are possible");
        Self { exchanges: 0, failed: 0, faults: BTreeMap::new(), reconnects: 0, took_us }
    }

    /// Quantiles of the time that the clients waited.
    pub fn latency(&self) -> Latency {
        let at = |q| Duration::from_micros(self.took_us.value_at_quantile(q));
        if self.took_us.is_empty() {
            Latency::default()
        } else {
            Latency { p50: at(0.50), p95: at(0.95), p99: at(0.99) }
        }
    }

    fn count(&mut self, result: Result<Duration, Fault>) {
        self.exchanges += 1;
        match result {
            Ok(took) => self.took_us.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
            Err(fault) => {
                self.failed += 1;
                *self.faults.entry(fault).or_default() += 1;
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("the balancer took no connection"),
            Self::Broken => f.write_str("the connection broke before the answer was complete"),
            Self::Malformed => f.write_str("the answer was malformed"),
            Self::Timeout => write!(f, "no answer within {} s", ANSWER_MAX.as_secs()),
            Self::Status(status) => write!(f, "status {status}"),
        }
    }
}

/// The connection that a client keeps, if it has one.
enum Kept {
    Http(Option<Wire>),
    /// And when it has had it for long enough.
    Tcp(Option<(Session, Instant)>),
}

impl Kept {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Http => Self::Http(None),
            Kind::Tcp => Self::Tcp(None),
        }
    }
}

async fn client(
    mut kept: Kept,
    target: SocketAddr,
    tally: Arc<Mutex<Tally>>,
    mut stopped: watch::Receiver<()>,
) {
    let began = Instant::now();
    let mut next = began + pause(Duration::ZERO).mul_f64(fastrand::f64());
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            () = sleep_until(next) => {}
        }
        let sent = Instant::now();
        let answered = timeout(ANSWER_MAX, async {
            match &mut kept {
                Kept::Http(kept) => request(kept, target).await,
                Kept::Tcp(kept) => message(kept, target, &tally).await,
            }
        })
        .await;
        let result = answered.unwrap_or(Err(Fault::Timeout)).map(|()| sent.elapsed());
        lock(&tally).count(result);
        // From the time that was planned, so that slow answers do not slow the traffic down; but what was missed
        // in a standstill is not made up for in a burst.
        next = (next + pause(began.elapsed()).mul_f64(0.5 + fastrand::f64())).max(Instant::now());
    }
}

/// Between two requests or messages of a client, when the traffic is this old.
fn pause(age: Duration) -> Duration {
    let rate = RATE + RATE_SWING * (TAU * age.as_secs_f64() / WAVE.as_secs_f64()).sin();
    Duration::from_secs_f64(CLIENTS as f64 / rate)
}

/// Sends one request; a connection that may carry another one is put back.
async fn request(kept: &mut Option<Wire>, target: SocketAddr) -> Result<(), Fault> {
    let request = format!("GET / HTTP/1.1\r\nHost: {target}\r\nUser-Agent: evenkeel-demo\r\n\r\n");
    let (mut wire, reused) = match kept.take() {
        Some(wire) => (wire, true),
        None => (connect(target).await?, false),
    };
    let mut answered = wire.ask(request.as_bytes()).await;
    if reused && matches!(answered, Ok(None)) {
        wire = connect(target).await?;
        answered = wire.ask(request.as_bytes()).await;
    }
    let head = answered.map_err(|error| fault(&error))?.ok_or(Fault::Broken)?;
    let status = head.status().map_err(|error| fault(&error))?;
    if !head.closes {
        *kept = Some(wire);
    }
    if status == 200 { Ok(()) } else { Err(Fault::Status(status)) }
}

/// Sends one message; the connection is kept. If it breaks, the message is said again over another one, which it may be
/// because it changes nothing at the server.
async fn message(
    kept: &mut Option<(Session, Instant)>,
    target: SocketAddr,
    tally: &Mutex<Tally>,
) -> Result<(), Fault> {
    let letters = fastrand::usize(LETTERS);
    let text: String = std::iter::repeat_with(fastrand::alphanumeric).take(letters).collect();
    if let Some((mut session, until)) = kept.take().filter(|(_, until)| *until > Instant::now()) {
        match session.exchange(&text).await {
            Err(error) if error.kind() != io::ErrorKind::InvalidData => lock(tally).reconnects += 1,
            answered => {
                answered.map_err(|error| fault(&error))?;
                *kept = Some((session, until));
                return Ok(());
            }
        }
    }
    let mut session = Session::open(target).await.map_err(|_| Fault::Connect)?;
    session.exchange(&text).await.map_err(|error| fault(&error))?;
    *kept = Some((session, Instant::now() + Duration::from_millis(fastrand::u64(KEPT_MS))));
    Ok(())
}

async fn connect(target: SocketAddr) -> Result<Wire, Fault> {
    TcpStream::connect(target).await.map(Wire::new).map_err(|_| Fault::Connect)
}

fn fault(error: &io::Error) -> Fault {
    if error.kind() == io::ErrorKind::InvalidData { Fault::Malformed } else { Fault::Broken }
}

/// The figures stay whole whatever thread dies.
fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
