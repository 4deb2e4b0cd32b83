//! The record of one request, and the bytes in which it is kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Steps that one record holds. A request that is tried 16 times takes about as many.
pub const STEPS_MAX: usize = 48;
/// Bytes of one record. One that is longer loses the fields of its head.
pub(super) const RECORD_BYTES_MAX: usize = 16 << 10;

/// One request, from its head to its end. Texts are redacted when they get here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FlightRecord {
    /// As in `X-Request-Id`. A trusted client may give several requests the same.
    pub id: String,
    /// When its head was there, in seconds since the Unix epoch.
    pub at: f64,
    /// The client's address; `unix` for a client of a unix socket.
    pub client: String,
    /// The port that it came from, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_port: Option<u16>,
    /// As received; empty when none could be read.
    pub method: String,
    /// As received, with its port.
    pub host: String,
    /// As received.
    pub target: String,
    /// The status that the client got; 0 when it got none.
    pub status: u16,
    /// How it ended, in the words of the access log.
    pub ended: String,
    /// From the last byte of its head to the last of its response, in milliseconds. Of a tunnel, to its answer.
    pub duration_ms: f64,
    /// The route that took it.
    pub route: Option<String>,
    /// The pool that it went to.
    pub pool: Option<String>,
    /// The id of the server that was asked last.
    pub server: Option<String>,
    /// How many servers were tried.
    pub tries: u32,
    /// Why it failed or was sent to more than one server, as in the access log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why there is a record of it.
    pub why_kept: WhyKept,
    /// What was wrong, in a word: a label of `evenkeel_requests_refused_total` or of `evenkeel_backend_failures_total`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The listener's name.
    pub listener: String,
    /// `http` or `https`.
    pub scheme: String,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// The fields of its head, in order.
    pub headers: Vec<(String, String)>,
    /// Fields of its head that had no room here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub headers_left_out: usize,
    /// What happened, in order.
    pub steps: Vec<FlightStep>,
    /// Steps that had no room here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub steps_left_out: usize,
    /// Routes that match in part, or are less specific.
    pub nearly: Vec<NearRoute>,
    /// The servers of its pool.
    pub candidates: Vec<Candidate>,
    /// Servers that had no room here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub candidates_left_out: usize,
    /// Who closed a connection, or gave up on it, before the response was complete.
    pub closed_first: Option<Side>,
    /// How long it waited for a permit, a server, the shared rate-limit Redis, or between two tries.
    pub wait_ms: f64,
    /// How long connections to servers took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<f64>,
    /// How long the client took to send its body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_ms: Option<f64>,
    /// From the end of the request to the head of the server's response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<f64>,
    /// From there to the last byte of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_ms: Option<f64>,
    /// The generation of the configuration that it met.
    pub generation: u64,
}

/// Something that happened to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlightStep {
    /// When, in milliseconds since its head was there.
    pub at_ms: f64,
    /// What kind of thing.
    pub kind: StepKind,
    /// What, in a sentence.
    pub what: String,
    /// The server that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// How long it took, up to `at_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<f64>,
}

/// A route that did not take the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearRoute {
    /// Its name.
    pub route: String,
    /// Why it did not.
    pub why_not: String,
}

/// A server of the request's pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its id.
    pub server: String,
    /// Its state, as `/status` has it.
    pub state: String,
    /// What the pool's algorithm compares, if it compares something: the least is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Its requests in flight.
    pub in_flight: u32,
    /// Its weight.
    pub weight: f64,
    /// Why it was chosen, or was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As it stands in JSON.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

words! {
    /// Why there is a record of a request.
    #[derive(Default)]
    WhyKept {
        /// It failed: a status of 5xx, an error of our own, or no whole response.
        Failed = "failed",
        /// It was answered, but more than one server was asked.
        Retried = "retried",
        /// It took longer than `recorder.slow`.
        Slow = "slow",
        /// None of these: it is one of the sample.
        #[default]
        Sampled = "sampled",
    }
}

words! {
    /// What kind of thing happened.
    StepKind {
        /// A route took the request, or none did.
        Route = "route",
        /// A limit was met.
        Limit = "limit",
        /// The cache decided.
        Cache = "cache",
        /// It waited for a permit or a server.
        Queue = "queue",
        /// A server was chosen.
        Choose = "choose",
        /// A connection to a server was opened, taken, or could not be.
        Connect = "connect",
        /// The request was sent to a server.
        Send = "send",
        /// A server answered, or failed to.
        Answer = "answer",
        /// Another server was asked, or was not.
        Retry = "retry",
        /// It was over.
        End = "end",
    }
}

words! {
    /// One of the three parties.
    Side {
        /// The client.
        Client = "client",
        /// The server.
        Server = "server",
        /// This process.
        Proxy = "proxy",
    }
}

impl FlightRecord {
    /// The bytes in which it is kept: JSON. Fields that would make it too long are left out.
    pub fn encode(mut self) -> Vec<u8> {
        let encode = |record: &Self| serde_json::to_vec(record).unwrap_or_default();
        let bytes = encode(&self);
        if bytes.len() <= RECORD_BYTES_MAX {
            return bytes;
        }
        self.headers_left_out += self.headers.len();
        self.headers.clear();
        let bytes = encode(&self);
        if bytes.len() <= RECORD_BYTES_MAX {
            return bytes;
        }
        self.steps_left_out += self.steps.len().saturating_sub(8);
        self.steps.truncate(8);
        self.nearly.truncate(2);
        self.candidates_left_out += self.candidates.len().saturating_sub(4);
        self.candidates.truncate(4);
        encode(&self)
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` if something else did.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// Milliseconds, to the microsecond.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_as_it_was() {
        let step = FlightStep {
            at_ms: 1.25,
            kind: StepKind::Connect,
            what: "connection refused".into(),
            server: Some("a".into()),
            took_ms: None,
        };
        let candidate = Candidate {
            server: "a".into(),
            state: "up".into(),
            score: Some(0.5),
            in_flight: 1,
            weight: 2.0,
            why: None,
        };
        let record = FlightRecord {
            id: "x\"\u{1}\n".into(),
            at: 1_764_400_000.123,
            why_kept: WhyKept::Failed,
            headers: vec![("accept".into(), "*/*".into())],
            steps: vec![step],
            candidates: vec![candidate],
            closed_first: Some(Side::Server),
            ..FlightRecord::default()
        };
        assert_eq!(FlightRecord::decode(&record.clone().encode()), Some(record));
        assert_eq!(FlightRecord::decode(b"{}"), None);
    }

    #[test]
    fn a_record_of_hostile_length_stays_within_its_bound() {
        let long = || "\u{1}".repeat(600);
        let step = |_| FlightStep {
            at_ms: 0.0,
            kind: StepKind::Retry,
            what: "x".repeat(400),
            server: None,
            took_ms: None,
        };
        let record = FlightRecord {
            headers: (0..64).map(|_| (long(), long())).collect(),
            steps: (0..STEPS_MAX).map(step).collect(),
            ..FlightRecord::default()
        };
        let bytes = record.encode();
        assert!(bytes.len() <= RECORD_BYTES_MAX, "{}", bytes.len());
        let read = FlightRecord::decode(&bytes).unwrap();
        assert_eq!((read.headers_left_out, read.headers.len()), (64, 0));
    }
}
