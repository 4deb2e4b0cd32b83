//! The ports on engines that run as processes of their own, for many servers together.

pub mod nats;
pub mod redis;
pub mod s3;
