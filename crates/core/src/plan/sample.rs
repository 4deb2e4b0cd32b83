//! A request that was seen some time ago, as far as its route depends on it: what `plan` replays.

use std::net::IpAddr;

/// What stands in the place of a value that is not shown.
pub const REDACTED: &str = "(redacted)";

/// A request that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its `X-Request-Id`.
    pub id: String,
    /// The name of the listener that it came by.
    pub listener: String,
    /// `http` or `https`.
    pub scheme: String,
    /// As sent.
    pub method: String,
    /// Whom it was for, with the port if it named one.
    pub host: String,
    /// Path and query, as sent.
    pub target: String,
    /// Its fields; a value that is not shown is [`REDACTED`].
    pub headers: Vec<(String, String)>,
    /// The client's address.
    pub client: IpAddr,
}

impl Sample {
    /// The names of fields whose values are not known, in lower case.
    pub fn redacted(&self) -> impl Iterator<Item = String> + '_ {
        self.headers.iter().filter(|(_, value)| value == REDACTED).map(|(name, _)| name.to_ascii_lowercase())
    }

    /// The names of query parameters whose values are not known.
    pub fn redacted_query(&self) -> impl Iterator<Item = &str> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(_, value)| *value == REDACTED).map(|(name, _)| name)
    }

    /// The head as it would come by HTTP/1.1. Fields that are not known have the values of `stand_ins`, by their names
    /// in lower case.
    pub fn head(&self, stand_ins: &[(String, String)]) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("host: {}\r\n", self.host));
        }
        for (name, value) in self.headers.iter().filter(|(name, _)| !name.starts_with(':')) {
            let stand_in =
                stand_ins.iter().find(|(of, _)| value == REDACTED && of.eq_ignore_ascii_case(name));
            let value = stand_in.map_or(value, |(_, value)| value);
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head
    }

    /// The request in a few words, as in `GET shop.example.com/cart`.
    pub fn describe(&self) -> String {
        format!("{} {}{}", self.method, self.host, self.target)
    }
}
