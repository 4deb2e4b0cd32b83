//! Why a balancer cannot start.

use std::fmt;

use evenkeel_net::BindError;

/// Why a balancer cannot start.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be listened on.
    Bind(BindError),
    /// Something else that the configuration names is not there.
    Other(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::Other(error) => f.write_str(error),
        }
    }
}

impl From<BindError> for StartError {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}

impl From<String> for StartError {
    fn from(error: String) -> Self {
        Self::Other(error)
    }
}
