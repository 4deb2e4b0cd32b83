//! Session affinity: the balancer's own cookies, reading those of applications, and a table of which session went to which server.

mod affinity;
mod cookie;
mod sessions;

pub use affinity::Affinity;
pub use cookie::{Cookie, cookie, set_cookie_value};
pub use sessions::Sessions;
