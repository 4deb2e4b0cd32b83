//! Every port on a server of its own, for many application servers at once.

pub mod postgres;
