//! Says who was at fault in a recorded request, and what to look at.

use serde::Serialize;

use super::record::{Candidate, FlightRecord, WhyKept};

/// Whose fault it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The client's.
    Client,
    /// A server's.
    Server,
    /// What the configuration says of such requests.
    Configuration,
    /// This process, or what it needs.
    Proxy,
    /// Nothing was wrong.
    None,
}

/// The judgement of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlightVerdict {
    /// Whose fault it was.
    pub fault: Fault,
    /// The same in a sentence.
    pub verdict: String,
    /// What to look at next, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_at: Option<String>,
}

impl FlightVerdict {
    fn new(fault: Fault, verdict: impl Into<String>, look_at: impl Into<String>) -> Self {
        let look_at = Some(look_at.into()).filter(|text| !text.is_empty());
        Self { fault, verdict: verdict.into(), look_at }
    }
}

impl FlightRecord {
    /// Who was at fault, and what to look at. A pure function of the record.
    pub fn judge(&self) -> FlightVerdict {
        match self.ended.as_str() {
            "client_aborted" => self.client_left(),
            "client_timeout" => FlightVerdict::new(
                Fault::Client,
                "The client was at fault: it sent or took nothing for too long, or too slowly.",
                "`timeout.head`, `timeout.body` and `timeout.write` of the listener, `limits.body_rate`, and the network to the \
                 client.",
            ),
            "request_timeout" => self.out_of_time(),
            "backend_timeout" | "backend_aborted" => self.server_failed(),
            "file_aborted" => FlightVerdict::new(
                Fault::Proxy,
                "A file could not be read to its end.",
                "The disk, and whether the file changed meanwhile.",
            ),
            _ if self.why_kept == WhyKept::Failed => self.refused(),
            _ => self.answered(),
        }
    }

    fn server_name(&self) -> String {
        match (&self.server, &self.pool) {
            (Some(server), Some(pool)) => format!("server {server} of pool {pool}"),
            (None, Some(pool)) => format!("pool {pool}"),
            _ => "the server".into(),
        }
    }

    fn client_left(&self) -> FlightVerdict {
        let after = self.duration_ms;
        if self.tries > 0 && self.first_byte_ms.is_none() {
            let name = self.server_name();
            return FlightVerdict::new(
                Fault::Client,
                format!("The client left after {after:.1} ms, while {name} had not answered yet."),
                format!(
                    "The timeout of the client, and how long {name} takes (`evenkeel_upstream_duration_seconds`)."
                ),
            );
        }
        FlightVerdict::new(
            Fault::Client,
            format!("The client left after {after:.1} ms, before it had all of its response."),
            "Whether the client gave up: its timeout, and whether a user went elsewhere.",
        )
    }

    fn out_of_time(&self) -> FlightVerdict {
        let look = "`timeout.request` of the route (or what the client's deadline header said), and the longest step above.";
        if self.tries > 0 && self.first_byte_ms.is_none() {
            let name = self.server_name();
            let verdict =
                format!("The server was at fault: the request's time was up, and {name} had not answered.");
            return FlightVerdict::new(Fault::Server, verdict, look);
        }
        let who = if self.tries == 0 { Fault::Proxy } else { Fault::Server };
        FlightVerdict::new(who, "The request's time was up before its response was complete.", look)
    }

    fn server_failed(&self) -> FlightVerdict {
        let name = self.server_name();
        let reason = self.reason.as_deref().unwrap_or("no reason was recorded");
        let tried =
            if self.tries > 1 { format!(" It was the last of {} tries.", self.tries) } else { String::new() };
        let (what, look) = match self.cause.as_deref() {
            Some("refused" | "unreachable" | "connect_timeout") => (
                "could not be reached",
                format!("Whether {name} runs and listens, the network to it, and `evenkeel status`."),
            ),
            Some("timeout") => {
                ("did not answer in time", format!("The load of {name}, and `timeout.response` of its pool."))
            }
            Some("malformed") => {
                ("sent an invalid response", format!("What {name} sends, with a direct request to it."))
            }
            _ => (
                "broke off",
                format!(
                    "The log of {name} at that time, whether it restarted, and its own limits and timeouts."
                ),
            ),
        };
        let verdict = format!("The server was at fault: {name} {what} ({reason}).{tried}");
        FlightVerdict::new(Fault::Server, verdict, look)
    }

    /// A request that has its whole response, which is an error.
    fn refused(&self) -> FlightVerdict {
        let pool = self.pool.as_deref().unwrap_or("?");
        let reason = self.reason.as_deref().unwrap_or("no reason was recorded");
        match self.cause.as_deref() {
            Some("no_route") => FlightVerdict::new(
                Fault::Configuration,
                "No route takes such a request.",
                "The routes that come nearest, and `evenkeel explain`.",
            ),
            Some("no_backend") => self.without_server(pool),
            Some("breaker_open") => FlightVerdict::new(
                Fault::Server,
                format!(
                    "The circuit breaker was open, because requests to pool {pool} had failed before ({reason})."
                ),
                format!(
                    "Earlier failures: `evenkeel why --last-failed` and `GET /requests?pool={pool}&failed=true`."
                ),
            ),
            Some("no_place") => FlightVerdict::new(
                Fault::Configuration,
                format!("A limit of pool {pool} was reached ({reason})."),
                "`breaker`, `concurrency`, `max_connections` and `queue` of the pool, and whether its servers are slow.",
            ),
            Some("overload") => FlightVerdict::new(
                Fault::Proxy,
                "The process was overloaded and refused the request.",
                "`evenkeel_overload_step`, `[overload]`, and the `priority` of the route.",
            ),
            Some("limiter_away") => FlightVerdict::new(
                Fault::Proxy,
                "The shared rate-limit Redis did not answer, and the limit refuses meanwhile.",
                "The Redis of `[redis]`, and `when_redis_is_away` of the limit.",
            ),
            Some("loop") => FlightVerdict::new(
                Fault::Configuration,
                "The request has passed through this cache node before.",
                "Which balancers name each other as servers.",
            ),
            _ if (400..500).contains(&self.status) && self.tries == 0 && self.reason.is_some() => {
                self.mistaken()
            }
            _ if self.tries > 0 => FlightVerdict::new(
                Fault::Server,
                format!("The server was at fault: {} answered {}.", self.server_name(), self.status),
                "The log of the server at that time, by the request id.",
            ),
            _ if self.route.is_some() && self.reason.is_none() => FlightVerdict::new(
                Fault::Configuration,
                format!("The route answers such requests with {}.", self.status),
                "",
            ),
            _ => FlightVerdict::new(Fault::Proxy, format!("The request was refused ({reason})."), ""),
        }
    }

    /// A request for which a pool had no server.
    fn without_server(&self, pool: &str) -> FlightVerdict {
        let is_put_out = |it: &Candidate| matches!(it.state.as_str(), "draining" | "disabled");
        // Such a server gets no new request, whatever its health.
        let has_no_weight = |it: &Candidate| it.weight == 0.0;
        let look = "`evenkeel status`: the states of the servers and the reasons for them.";
        let weights =
            "`evenkeel status`: the weights and states of the servers; `evenkeel weight` changes a weight.";
        if self.pool.is_none()
            || self.candidates_left_out > 0
            || !self.candidates.iter().all(|it| is_put_out(it) || has_no_weight(it))
        {
            let verdict = format!("The servers were at fault: no server of pool {pool} could be used.");
            return FlightVerdict::new(Fault::Server, verdict, look);
        }
        let (verdict, look) = if self.candidates.is_empty() {
            (
                format!(
                    "Pool {pool} had no server: none is configured or found, or commands have removed all."
                ),
                "`evenkeel server list` and `evenkeel diff`, which shows what commands have removed.",
            )
        } else if self.candidates.iter().all(is_put_out) {
            (format!("An operator had drained or disabled all servers of pool {pool}."), look)
        } else if self.candidates.iter().all(has_no_weight) {
            (format!("All servers of pool {pool} have weight 0."), weights)
        } else {
            (format!("All servers of pool {pool} have weight 0, or were drained or disabled."), weights)
        };
        FlightVerdict::new(Fault::Configuration, verdict, look)
    }

    /// A request that its client should not have sent like this.
    fn mistaken(&self) -> FlightVerdict {
        let reason = self.reason.as_deref().unwrap_or("no reason was recorded");
        let (verdict, look) = match self.cause.as_deref() {
            Some("rate_limited" | "connection_rate") => (
                format!("The client sent more requests than a limit allows ({reason})."),
                "`rate_limit` of the route, or `limits` of the listener.",
            ),
            Some("unsupported") => (
                format!("The request needs what Evenkeel does not support ({reason})."),
                "What the client sends.",
            ),
            Some("misdirected") => (
                "The request names a host that the certificate of its connection is not for.".into(),
                "`misdirected` of the listener, and the names of its certificates.",
            ),
            Some("head_too_large" | "uri_too_long" | "body_too_large") => (
                format!("The request exceeds a limit on its size ({reason})."),
                "`[limits]`, and `limits` of the route.",
            ),
            _ => (format!("The request was refused ({reason})."), "What the client sends."),
        };
        FlightVerdict::new(Fault::Client, verdict, look)
    }

    /// A request that was answered: where its time went.
    fn answered(&self) -> FlightVerdict {
        if self.why_kept == WhyKept::Retried {
            let reason = self.reason.as_deref().unwrap_or("a try before failed");
            let fault = if self.cause.is_some() { Fault::Server } else { Fault::None };
            return FlightVerdict::new(
                fault,
                format!("The client got its response, after {} tries ({reason}).", self.tries),
                "The server of the first try.",
            );
        }
        if self.why_kept != WhyKept::Slow {
            return FlightVerdict::new(Fault::None, "Nothing was wrong.", "");
        }
        let name = self.server_name();
        let parts = [
            (
                self.upload_ms,
                Fault::Client,
                "the client sent its body".to_owned(),
                "The client and the network to it.",
            ),
            (
                Some(self.wait_ms),
                Fault::Configuration,
                "it waited for a permit, a server or a retry".to_owned(),
                "The limits of the pool or route, and whether its servers are slow.",
            ),
            (
                self.connect_ms,
                Fault::Server,
                format!("the connection to {name} was opened"),
                "The network to the server, and how many connections it accepts.",
            ),
            (
                self.first_byte_ms,
                Fault::Server,
                format!("{name} made its answer"),
                "What the server does for such a request.",
            ),
            (
                self.transfer_ms,
                Fault::None,
                "the body of the response was passed on".to_owned(),
                "How long the response is, and whether the server sends or the client reads it slowly.",
            ),
        ];
        let longest = parts.into_iter().filter_map(|(ms, fault, what, look)| Some((ms?, fault, what, look)));
        match longest.max_by(|one, other| one.0.total_cmp(&other.0)).filter(|part| part.0 > 0.0) {
            Some((ms, fault, what, look)) => {
                let verdict = format!("{ms:.1} ms of {:.1} ms went by while {what}.", self.duration_ms);
                FlightVerdict::new(fault, verdict, look)
            }
            None => FlightVerdict::new(Fault::Proxy, format!("It took {:.1} ms.", self.duration_ms), ""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(change: impl FnOnce(&mut FlightRecord)) -> (Fault, String) {
        let mut record = FlightRecord {
            why_kept: WhyKept::Failed,
            status: 502,
            ended: "refused".into(),
            reason: Some("why".into()),
            pool: Some("app".into()),
            server: Some("a".into()),
            tries: 1,
            duration_ms: 1_500.0,
            ..FlightRecord::default()
        };
        change(&mut record);
        let verdict = record.judge();
        (verdict.fault, verdict.verdict)
    }

    #[test]
    fn the_one_at_fault_is_named() {
        let cause = |cause: &str| {
            let cause = Some(cause.to_owned());
            judge(|r| r.cause = cause).0
        };
        for (word, fault) in [
            ("no_route", Fault::Configuration),
            ("breaker_open", Fault::Server),
            ("no_place", Fault::Configuration),
            ("overload", Fault::Proxy),
            ("limiter_away", Fault::Proxy),
        ] {
            assert_eq!(cause(word), fault, "{word}");
        }
        assert_eq!(judge(|r| r.ended = "client_aborted".into()).0, Fault::Client);
        assert_eq!(judge(|r| r.ended = "backend_timeout".into()).0, Fault::Server);
        assert_eq!(judge(|r| r.ended = "complete".into()).0, Fault::Server, "a 5xx of the server's own");
        for (word, status) in [("malformed", 400), ("rate_limited", 429), ("body_too_large", 413)] {
            let refused = judge(|r| (r.cause, r.status, r.tries) = (Some(word.into()), status, 0));
            assert_eq!(refused.0, Fault::Client, "{word}");
        }
    }

    #[test]
    fn servers_that_an_operator_took_out_are_not_at_fault() {
        let without = |servers: &[(&str, f64)]| {
            let candidates = servers.iter().map(|(state, weight)| Candidate {
                server: "a".into(),
                state: (*state).into(),
                score: None,
                in_flight: 0,
                weight: *weight,
                why: None,
            });
            judge(|r| (r.cause, r.candidates) = (Some("no_backend".into()), candidates.collect()))
        };
        let at_fault = "The servers were at fault: no server of pool app could be used.";
        for (servers, fault, verdict) in [
            (&[("down", 1.0), ("draining", 1.0)][..], Fault::Server, at_fault),
            (&[("down", 1.0), ("up", 0.0)], Fault::Server, at_fault),
            (
                &[("draining", 1.0), ("disabled", 0.0)],
                Fault::Configuration,
                "An operator had drained or disabled all servers of pool app.",
            ),
            (&[("up", 0.0), ("down", 0.0)], Fault::Configuration, "All servers of pool app have weight 0."),
            (
                &[("up", 0.0), ("draining", 1.0)],
                Fault::Configuration,
                "All servers of pool app have weight 0, or were drained or disabled.",
            ),
            (
                &[],
                Fault::Configuration,
                "Pool app had no server: none is configured or found, or commands have removed all.",
            ),
        ] {
            assert_eq!(without(servers), (fault, verdict.to_owned()), "{servers:?}");
        }
    }

    #[test]
    fn the_time_of_a_slow_request_is_where_most_of_it_went() {
        let slow = |change: fn(&mut FlightRecord)| {
            judge(|r| {
                (r.why_kept, r.ended, r.status) = (WhyKept::Slow, "complete".into(), 200);
                change(r);
            })
        };
        let (fault, text) = slow(|r| (r.wait_ms, r.first_byte_ms) = (5.0, Some(1_400.0)));
        assert_eq!(fault, Fault::Server);
        assert_eq!(text, "1400.0 ms of 1500.0 ms went by while server a of pool app made its answer.");
        assert_eq!(slow(|r| r.wait_ms = 900.0).0, Fault::Configuration);
        assert_eq!(slow(|r| r.upload_ms = Some(900.0)).0, Fault::Client);
        assert_eq!(slow(|_| ()).0, Fault::Proxy);
    }
}
