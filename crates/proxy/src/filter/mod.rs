//! What stands between a response and its client: functions from response to response.

pub mod compress;
pub mod fields;
pub mod location;
