//! The ports on engines that run as processes of their own, for many application servers together.

pub mod nats;
pub mod postgres;
pub mod redis;
pub mod s3;
