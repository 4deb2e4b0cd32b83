//! The question of `POST /explain`, and its way to the binary, which alone knows how the data path reads requests.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The most headers of the request in a question.
const HEADERS_MAX: usize = 100;

/// Answers questions about requests.
pub struct Explainer(Box<Answer>);

type Answer = dyn Fn(&Question) -> Result<Value, String> + Send + Sync;

impl Explainer {
    /// Asks `answer`, whose error says why no such request is possible.
    pub fn new(answer: impl Fn(&Question) -> Result<Value, String> + Send + Sync + 'static) -> Self {
        Self(Box::new(answer))
    }
}

impl Explainer {
    pub(crate) fn ask(&self, question: &Question) -> Result<Value, String> {
        (self.0)(question)
    }
}

impl fmt::Debug for Explainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Explainer")
    }
}

/// A question about a request, a connection or a datagram.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The method; `tcp` for a connection, `udp` for a datagram.
    #[serde(default = "get")]
    pub method: String,
    /// The URL, or a path, as of a request without a host; of a connection or datagram the address.
    pub url: String,
    /// The headers: a text for each name, or several in a list.
    #[serde(default)]
    pub headers: BTreeMap<String, Values>,
    /// The client's address.
    #[serde(default = "loopback")]
    #[schema(value_type = String)]
    pub client: IpAddr,
    /// The server name in the TLS hello of a connection.
    pub sni: Option<String>,
    /// The listener that it comes by; the first that fits if left out.
    pub listener: Option<String>,
}

/// The values of a header.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Values {
    /// One.
    One(String),
    /// Several lines of it.
    Several(Vec<String>),
}

fn get() -> String {
    "GET".into()
}

fn loopback() -> IpAddr {
    Ipv4Addr::LOCALHOST.into()
}

impl Question {
    /// Its headers, as `name: value`.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.headers.iter().flat_map(|(name, values)| {
            let values = match values {
                Values::One(value) => std::slice::from_ref(value),
                Values::Several(values) => values,
            };
            values.iter().map(move |value| format!("{name}: {value}"))
        });
        lines.take(HEADERS_MAX).collect()
    }
}
