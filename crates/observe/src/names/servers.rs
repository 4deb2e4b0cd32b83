//! The values of labels about single servers: how tries and health checks ended, and what of live traffic spoke against a server.

use super::label::label;

label! {
    /// How a server failed a try.
    BackendFailure {
        /// It refused the connection.
        Refused = "refused",
        /// It did not accept the connection in time.
        ConnectTimeout = "connect_timeout",
        /// No way to it: no route, no such host, no such socket.
        Unreachable = "unreachable",
        /// It reset the connection.
        Reset = "reset",
        /// It closed the connection before the end of a response head.
        Closed = "closed",
        /// No response head, or no more of the body, in time.
        Timeout = "timeout",
        /// It sent what is not a valid response.
        Malformed = "malformed",
        /// Its response ended before its announced length.
        Truncated = "truncated",
        /// It answered with a status that counts as a failure.
        Status = "status",
    }
}

label! {
    /// What of live traffic spoke against a server.
    OutlierCause {
        /// Failures within `outlier.window`.
        Failures = "failures",
        /// Its success rate beside those of the others.
        SuccessRate = "success_rate",
        /// Its average latency beside the median.
        Latency = "latency",
    }
}

label! {
    /// What came of a server that live traffic spoke against.
    OutlierOutcome {
        /// It was ejected.
        Ejected = "ejected",
        /// It was kept because no other is up or `outlier.max_ejected` is reached. Counted once for a spell.
        Kept = "kept",
    }
}

label! {
    /// How an active health check ended.
    ProbeResult {
        /// As expected.
        Success = "success",
        /// The connection was refused.
        Refused = "refused",
        /// No answer in time.
        Timeout = "timeout",
        /// The connection was reset or closed.
        Reset = "reset",
        /// A status that was not expected.
        Status = "status",
        /// A body without the text that it must contain.
        Body = "body",
        /// What is not a valid response.
        Malformed = "malformed",
        /// Any other failure to reach the server.
        Io = "io",
        /// A database refused the check.
        Refusal = "refusal",
    }
}
