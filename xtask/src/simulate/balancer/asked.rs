//! A simulated request, as far as a choice depends on it.

use std::net::{IpAddr, Ipv4Addr};

use evenkeel_core::choose::Keys;
use evenkeel_core::route::Facts;

/// The header that sticky pools go by. Its value is the client's number.
pub const USER: &str = "x-user";

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    method: &'static str,
    client: u32,
    user: [u8; 4],
}

impl Asked {
    /// A request of a client.
    pub fn new(method: &'static str, client: u32) -> Self {
        Self { method, client, user: client.to_le_bytes() }
    }
}

impl Facts for Asked {
    fn method(&self) -> &str {
        self.method
    }
    fn host(&self) -> &str {
        "example.com"
    }
    fn path(&self) -> &str {
        "/"
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn client(&self) -> IpAddr {
        Ipv4Addr::from_bits(self.client).into()
    }
    fn has_header(&self, name: &str, _: &str) -> bool {
        name == USER
    }
}

impl Keys for Asked {
    fn header(&self, name: &str) -> Option<&[u8]> {
        (name == USER).then_some(&self.user)
    }
    fn cookie(&self, _: &str) -> Option<&[u8]> {
        None
    }
}
