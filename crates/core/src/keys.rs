//! What of a request the choice of a server and the rate limits go by, beyond what a route does.

use crate::route::Facts;

/// What a choice may depend on beyond what a route may.
pub trait Keys: Facts {
    /// The value of the first field of a name, in lower case.
    fn header(&self, name: &str) -> Option<&[u8]>;
    /// The value of a cookie.
    fn cookie(&self, name: &str) -> Option<&[u8]>;
}
