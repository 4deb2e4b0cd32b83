//! What is true of how a route keeps its requests alive: retries, hedging, and the time that is left.

use std::time::Duration;

/// `retry` of a route. By default a request is sent to at most three servers, and to a second one only when nothing
/// of the first one's answer has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Servers that may be sent the request, the first included. Default 3, 1 to 10.
    pub attempts: u32,
    /// What another server may make good.
    pub on: RetryOn,
    /// Methods whose requests may be sent twice. Default the idempotent ones (RFC 9110, 9.2.2).
    pub methods: Vec<String>,
    /// From the request's last byte to the answer's head, at each server; `None` (the default) leaves it to the pool's
    /// `timeout.response`.
    pub per_try_timeout: Option<Duration>,
    /// Retries in percent of the pool's requests. Default 20, 0 to 100; 0 is no retry at all.
    pub budget: u32,
    /// Before the second retry, at most; doubled for each further one, up to ten times. Default 0: at once.
    pub backoff: Duration,
    /// Bytes of a request's body that are kept so that it can be sent again. Default 64 KiB, at most 1 MiB.
    pub replay: usize,
    /// Whether responses say in `X-Evenkeel-Attempts` how many servers were sent the request. Default false.
    pub header: bool,
}

/// `on` of `retry`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetryOn {
    /// `connect`: the server could not be reached.
    pub connect: bool,
    /// `reset`: the connection ended before the first byte of an answer.
    pub reset: bool,
    /// `timeout`: no head of an answer in time.
    pub timeout: bool,
    /// These statuses, in ascending order: 408, 425, 429, 500 to 599.
    pub statuses: Vec<u16>,
}

/// Methods that may be sent twice unless the file says otherwise (RFC 9110, 9.2.2).
const IDEMPOTENT: [&str; 6] = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];

impl Default for Retry {
    /// What holds for a route without `retry`.
    fn default() -> Self {
        Self {
            attempts: 3,
            on: RetryOn { connect: true, reset: true, ..RetryOn::default() },
            methods: IDEMPOTENT.map(str::to_owned).to_vec(),
            per_try_timeout: None,
            budget: 20,
            backoff: Duration::ZERO,
            replay: 64 * 1024,
            header: false,
        }
    }
}

impl Retry {
    /// `retry = false`: nobody gets a request that another server was meant to have.
    pub fn off() -> Self {
        Self { attempts: 1, on: RetryOn::default(), budget: 0, replay: 0, ..Self::default() }
    }

    /// True if a request with this method may be sent to another server when its fate is unknown.
    pub fn repeats(&self, method: &str) -> bool {
        self.methods.iter().any(|known| known == method)
    }

    /// True if a request with this method may be sent to the same server again when the connection was an old one that was
    /// being closed: one that may be sent twice, or that only reads (RFC 9110, 9.2.1).
    pub fn repeats_over_a_fresh_connection(&self, method: &str) -> bool {
        matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE") || self.repeats(method)
    }

    /// True if a server that was sent a request may have to be made good for: then its body must be kept.
    pub fn may_send_twice(&self) -> bool {
        let RetryOn { reset, timeout, ref statuses, .. } = self.on;
        self.attempts > 1 && self.budget > 0 && (reset || timeout || !statuses.is_empty())
    }
}

/// `hedge` of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hedge {
    /// How long a server may be silent before another one is asked as well.
    pub after: HedgeAfter,
    /// How many others are asked. Default 1, at most 2.
    pub max: u32,
}

/// `after` of `hedge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeAfter {
    /// `"p95"`: as long as 95 of 100 answers of the pool take.
    P95,
    /// This long, 1 ms to 1 h.
    Fixed(Duration),
}

/// `deadline_header` of a route: in which field a server is told how much time is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadlineHeader {
    /// `grpc-timeout`, in its own format.
    Grpc,
    /// Any other field, in lower case, in whole milliseconds.
    Millis(String),
}

impl DeadlineHeader {
    /// The field's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Grpc => "grpc-timeout",
            Self::Millis(name) => name,
        }
    }
}
