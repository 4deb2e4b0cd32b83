//! Every metric's name, type, labels and help text in one table, and the closed sets of values that labels take.

mod cache;
mod connections;
mod control;
mod label;
mod recorder;
#[cfg(test)]
mod reference;
mod servers;

pub use cache::{CacheResult, PurgeMode, PurgeScope};
pub use connections::{ConnectionRefusal, HandshakeResult, Protocol, ProxyHeaderResult};
pub use control::{ReloadResult, RevertReason, UpgradeResult};
pub(crate) use label::label;
pub use recorder::RecordDropped;
pub use servers::{BackendFailure, OutlierCause, OutlierOutcome, ProbeResult};

/// What kind of number a metric is, as Prometheus understands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size, cumulative, with a sum.
    Histogram,
}

impl Kind {
    /// The word after `# TYPE NAME`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name; units are seconds and bytes, and stand in the name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The names of its labels, in the order in which samples give their values.
    pub labels: &'static [&'static str],
    /// One sentence for people.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($id:ident: $kind:ident $name:literal [$($label:ident)*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                labels: &[$(stringify!($label)),*],
                help: $help,
            };
        )*

        /// All of them, in the order in which they are rendered.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

metrics! {
    REQUESTS: Counter "evenkeel_requests_total" [route pool backend class]
        "Requests finished, by the class of the status sent to the client.";
    REQUEST_DURATION: Histogram "evenkeel_request_duration_seconds" [route pool backend]
        "From the last byte of a request's head to the last of its response.";
    REQUEST_BYTES: Counter "evenkeel_request_bytes_total" [route pool backend]
        "Bytes of request bodies taken from clients.";
    RESPONSE_BYTES: Counter "evenkeel_response_bytes_total" [route pool backend]
        "Bytes of response bodies sent to clients.";
    EXTRA_TRIES: Counter "evenkeel_extra_tries_total" [route pool backend]
        "Tries beyond a request's first, connections that could not be opened among them, by the server that gave the final answer.";
    RETRIES: Counter "evenkeel_retries_total" [pool cause outcome]
        "Failed tries that could be retried at another server, by cause and by whether they were.";
    RETRY_BUDGET_EXHAUSTED: Counter "evenkeel_retry_budget_exhausted_total" [pool]
        "Retries and hedges that the pool's retry budget did not allow.";
    HEDGES: Counter "evenkeel_hedges_total" [pool outcome]
        "Hedges: requests sent to another server as well because the first was slow, by whether the hedge answered first.";
    UPSTREAM_DURATION: Histogram "evenkeel_upstream_duration_seconds" [pool backend]
        "Seconds from the last byte of a request sent to a server to the head of its response.";
    OVERHEAD: Histogram "evenkeel_overhead_seconds" []
        "Seconds of a request's duration that the balancer itself took.";

    CONNECTIONS_ACCEPTED: Counter "evenkeel_connections_accepted_total" []
        "Client connections accepted.";
    CONNECTIONS: Gauge "evenkeel_connections" []
        "Client connections open.";
    CONNECTIONS_LIMIT: Gauge "evenkeel_connections_limit" []
        "Client connections that may be open at once: `limits.connections`.";
    CONNECTIONS_REFUSED: Counter "evenkeel_connections_refused_total" [reason]
        "Client connections turned away, by reason.";
    CONNECTIONS_BY_PROTOCOL: Counter "evenkeel_connections_begun_total" [protocol]
        "Client connections by protocol, counted once the protocol is known.";
    TLS_HANDSHAKES: Counter "evenkeel_tls_handshakes_total" [result]
        "TLS handshakes with clients, by result.";
    PROXY_HEADERS: Counter "evenkeel_proxy_headers_total" [result]
        "Client connections that had to begin with a PROXY header, by what came.";
    REQUESTS_IN_FLIGHT: Gauge "evenkeel_requests_in_flight" []
        "Requests begun and not yet finished.";
    REQUESTS_REFUSED: Counter "evenkeel_requests_refused_total" [reason]
        "Requests that the balancer itself answered with an error instead of forwarding them, by reason.";
    CLIENT_ABORTS: Counter "evenkeel_client_aborts_total" []
        "Requests whose client left before the response was complete.";
    COMPRESSED: Counter "evenkeel_compressed_responses_total" [encoding]
        "Responses compressed on their way to clients, by encoding.";
    COMPRESS_IN: Counter "evenkeel_compress_in_bytes_total" [encoding]
        "Bytes of response bodies before they were compressed, by encoding.";
    COMPRESS_OUT: Counter "evenkeel_compress_out_bytes_total" [encoding]
        "Bytes of response bodies after they were compressed, by encoding.";
    COMPRESS_REUSED: Counter "evenkeel_compress_reused_total" [encoding]
        "Responses sent compressed without compressing them, because their compressed bodies were in memory, by encoding.";
    COMPRESS_REUSED_SAVED: Counter "evenkeel_compress_reused_saved_bytes_total" [encoding]
        "Bytes by which such responses were shorter than the bodies that they were made of, by encoding.";
    COMPRESS_SKIPPED: Counter "evenkeel_compress_skipped_total" [reason]
        "Responses sent as they were although their clients accept them compressed, by reason.";
    TUNNELS: Gauge "evenkeel_tunnels" []
        "Upgraded connections (WebSocket) open.";
    UNSENT: Gauge "evenkeel_unsent_bytes" []
        "Bytes of responses that were read from servers and that clients have not taken yet.";
    FILES_CACHED: Gauge "evenkeel_files_cached_bytes" []
        "Bytes of memory that static files take which were asked for before.";
    FILES_OPEN: Gauge "evenkeel_files_open" []
        "Static files that are kept open for requests to come.";

    STREAMS: Gauge "evenkeel_stream_connections" [listener pool backend]
        "Connections of tcp listeners, sessions of udp listeners, and connections whose TLS passes through, that are relayed.";
    STREAMS_ENDED: Counter "evenkeel_stream_connections_ended_total" [listener pool backend ended]
        "Such connections that have ended, by how.";
    STREAM_RECEIVED: Counter "evenkeel_stream_received_bytes_total" [listener pool backend]
        "Bytes that such connections carried from clients to servers.";
    STREAM_SENT: Counter "evenkeel_stream_sent_bytes_total" [listener pool backend]
        "Bytes that such connections carried from servers to clients.";
    STREAM_DURATION: Histogram "evenkeel_stream_duration_seconds" [listener pool backend]
        "Seconds from the accept of such a connection to its end.";
    DATAGRAMS_RECEIVED: Counter "evenkeel_datagrams_received_total" [listener]
        "Datagrams that came from clients of udp listeners.";
    DATAGRAMS_SENT: Counter "evenkeel_datagrams_sent_total" [listener]
        "Datagrams that were sent to clients of udp listeners.";
    DATAGRAMS_DROPPED: Counter "evenkeel_datagrams_dropped_total" [listener reason]
        "Datagrams of either side that udp listeners did not pass on, by reason.";

    BACKEND_UP: Gauge "evenkeel_backend_up" [pool backend]
        "1 when the server takes new requests, else 0.";
    BACKEND_STATE: Gauge "evenkeel_backend_state" [pool backend state]
        "1 for the state that the server is in; a server that is up has no such sample.";
    BACKEND_IN_FLIGHT: Gauge "evenkeel_backend_in_flight" [pool backend]
        "Requests that the server is working on.";
    BACKEND_CONNECTIONS_OPENED: Counter "evenkeel_backend_connections_opened_total" [pool backend]
        "Connections opened to the server.";
    BACKEND_CONNECTIONS_REUSED: Counter "evenkeel_backend_connections_reused_total" [pool backend]
        "Requests sent on a connection that had served an earlier one.";
    BACKEND_CONNECTIONS_IDLE: Gauge "evenkeel_backend_connections_idle" [pool backend]
        "Open connections to the server that wait for a request.";
    BACKEND_CONNECT_FAILURES: Counter "evenkeel_backend_connect_failures_total" [pool backend]
        "Connections to the server that could not be opened.";
    BACKEND_FAILURES: Counter "evenkeel_backend_failures_total" [pool backend kind]
        "Tries that failed because of the server, by kind of failure.";
    BACKEND_TRANSITIONS: Counter "evenkeel_backend_transitions_total" [pool backend from to]
        "Changes of the server's state.";
    BACKEND_OUTLIERS: Counter "evenkeel_backend_outliers_total" [pool backend cause outcome]
        "Times that the server's live traffic reached the threshold for an ejection, by cause and by whether it was ejected.";
    BACKEND_WEIGHT: Gauge "evenkeel_backend_weight" [pool backend]
        "The server's weight as it counts now, less than the configured one while it starts slowly.";
    BACKEND_ROLE: Gauge "evenkeel_backend_role" [pool backend role]
        "1 for the role that the last check of a database has found.";
    BACKEND_LAG: Gauge "evenkeel_backend_lag_bytes" [pool backend]
        "Bytes of the write-ahead log by which a replica lagged at its last check.";
    POOL_BACKENDS: Gauge "evenkeel_pool_backends" [pool]
        "Servers that the pool has.";
    POOL_BACKENDS_UP: Gauge "evenkeel_pool_backends_up" [pool]
        "Servers of the pool that take new requests.";
    POOL_WAITING: Gauge "evenkeel_pool_waiting_for_server" [pool]
        "Requests that wait because no server of the pool may be used.";
    POOL_PANIC: Gauge "evenkeel_pool_panic" [pool]
        "1 while ejected servers are used as well because too few others are left, else 0.";
    DISCOVERY_UP: Gauge "evenkeel_discovery_up" [pool]
        "1 when all questions for the pool's discovered servers were answered the last time, else 0.";
    DISCOVERY_SERVERS: Gauge "evenkeel_discovery_servers" [pool]
        "Servers in the last good answer for the pool's discovered servers.";
    DISCOVERY_FAILURES: Counter "evenkeel_discovery_failures_total" [pool]
        "Times that questions for the pool's discovered servers were not answered, or not in full.";
    DISCOVERY_SUCCEEDED: Gauge "evenkeel_discovery_last_success_timestamp_seconds" [pool]
        "When the questions for the pool's discovered servers were all answered for the last time, in seconds since the Unix epoch; 0 if never.";
    PROBES: Counter "evenkeel_probes_total" [pool backend result]
        "Active health checks of the server, by result.";

    RATE_LIMITED: Counter "evenkeel_rate_limited_total" [route limit outcome]
        "Requests that a rate limit of a route did not simply let through, by outcome.";
    MIRRORED: Counter "evenkeel_mirrored_total" [route outcome]
        "Copies of a route's requests for the pool of its mirror, by outcome.";
    CACHE_REQUESTS: Counter "evenkeel_cache_requests_total" [route result]
        "Requests of routes with a cache, by what the cache did for them.";
    CACHE_COALESCED: Counter "evenkeel_cache_coalesced_total" [route]
        "Requests answered with what another request was fetching, so that the servers were asked once.";
    CACHE_SERVED_BYTES: Counter "evenkeel_cache_served_bytes_total" [route]
        "Bytes of response bodies sent from the cache, which no server had to send again.";
    CACHE_STORED: Counter "evenkeel_cache_stored_total" [route]
        "Responses stored.";
    CACHE_FETCHES: Gauge "evenkeel_cache_fetches" [route]
        "Fetches in progress, each for one request or many.";
    CACHE_PAST_PARENTS: Counter "evenkeel_cache_past_parents_total" [route]
        "Requests to the route's own pool because no cache node of `parent` had answered.";
    CACHE_AGE: Histogram "evenkeel_cache_age_seconds" [route]
        "Seconds since the servers had last made or confirmed a response that was sent from the cache.";
    CACHE_MEMORY: Gauge "evenkeel_cache_memory_bytes" []
        "Memory that stored responses occupy, content and overhead, in bytes.";
    CACHE_FETCHING: Gauge "evenkeel_cache_fetching_bytes" []
        "Memory that fetches in progress occupy, in bytes.";
    CACHE_MEMORY_LIMIT: Gauge "evenkeel_cache_memory_limit_bytes" []
        "Memory that stored responses and fetches in progress may occupy together, in bytes: `cache.memory`.";
    CACHE_OBJECTS: Gauge "evenkeel_cache_objects" []
        "Stored responses.";
    CACHE_DISK: Gauge "evenkeel_cache_disk_bytes" []
        "Bytes that stored responses occupy on disk; absent without a disk cache, as the next five.";
    CACHE_DISK_LIMIT: Gauge "evenkeel_cache_disk_limit_bytes" []
        "Bytes that stored responses may occupy on disk.";
    CACHE_DISK_OBJECTS: Gauge "evenkeel_cache_disk_objects" []
        "Responses stored on disk.";
    CACHE_DISK_WRITTEN: Counter "evenkeel_cache_disk_written_total" []
        "Responses written to disk.";
    CACHE_DISK_READ: Counter "evenkeel_cache_disk_read_total" []
        "Responses read from disk: into memory, or, where the body is longer than 256 KiB, its head alone.";
    CACHE_DISK_FAILURES: Counter "evenkeel_cache_disk_failures_total" []
        "Responses and purges that could not be written to disk.";
    CACHE_EVICTIONS: Counter "evenkeel_cache_evictions_total" [policy]
        "Stored responses that made room for others, by the policy of eviction then in force.";
    CACHE_PURGES: Counter "evenkeel_cache_purges_total" [scope mode]
        "Purges, by what they were about and whether they were hard or soft.";
    CACHE_PURGED: Counter "evenkeel_cache_purged_objects_total" []
        "Stored responses that purges removed. They are removed after the purge, when they are found or swept.";
    REDIS_UP: Gauge "evenkeel_redis_up" []
        "1 when the shared rate-limit Redis answers, else 0; absent without `[redis]`.";
    REDIS_ERRORS: Counter "evenkeel_redis_errors_total" []
        "Commands that the shared rate-limit Redis did not answer, and connections to it that could not be opened.";
    BREAKER_STATE: Gauge "evenkeel_breaker_state" [pool backend]
        "The circuit breaker of the pool, or of the server if one is named: 0 closed, 1 open, 2 half open.";
    BREAKER_REFUSED: Counter "evenkeel_breaker_refused_total" [pool reason]
        "Requests turned away by a limit or the circuit breaker of the pool, by reason.";
    CONCURRENCY_LIMIT: Gauge "evenkeel_concurrency_limit" [pool]
        "Requests in flight that the limit of `concurrency` allows; 0 before its first change, and without `concurrency`.";
    QUEUE_LENGTH: Gauge "evenkeel_queue_length" [pool]
        "Requests in the pool's queue.";
    QUEUE_LIMIT: Gauge "evenkeel_queue_limit" [pool]
        "Requests that the pool's queue has room for; absent without a queue.";
    QUEUE_WAITS: Counter "evenkeel_queue_waits_total" [pool]
        "Requests that left the queue with a permit.";
    QUEUE_WAIT_SECONDS: Counter "evenkeel_queue_wait_seconds_total" [pool]
        "Seconds that requests spent in the queue before they got a permit, in all.";
    QUEUE_REFUSED: Counter "evenkeel_queue_refused_total" [pool reason]
        "Requests that the queue had no room for or that left it without a permit, by reason.";
    OVERLOAD_STEP: Gauge "evenkeel_overload_step" [cause]
        "Load shed because of an overload: 0 none, 1 connections take no further request, 2 requests of low priority \
         are refused, 3 also those of normal priority, 4 new connections are refused.";

    ACCESS_LOG_LINES: Counter "evenkeel_access_log_lines_total" []
        "Lines written to the access log.";
    ACCESS_LOG_DROPPED: Counter "evenkeel_access_log_dropped_total" []
        "Lines of the access log lost because its destination was too slow or failed.";
    SPANS_EXPORTED: Counter "evenkeel_spans_exported_total" []
        "Spans of traces that the collector of `[tracing]` has taken.";
    SPANS_DROPPED: Counter "evenkeel_spans_dropped_total" []
        "Spans of traces lost because the collector of `[tracing]` was too slow or failed.";
    RECORDER_KEPT: Counter "evenkeel_recorder_kept_total" [why]
        "Requests of which the flight recorder kept a record, by why it did.";
    RECORDER_DROPPED: Counter "evenkeel_recorder_dropped_total" [reason]
        "Requests that failed or were slow and of which no record was kept, by reason.";
    RECORDER_RECORDS: Gauge "evenkeel_recorder_records" []
        "Records of requests that the flight recorder has.";
    RECORDER_BYTES: Gauge "evenkeel_recorder_bytes" []
        "Memory that these records occupy, in bytes.";
    RECORDER_LIMIT: Gauge "evenkeel_recorder_limit_bytes" []
        "Memory that they may occupy, in bytes: `recorder.memory`; 0 when the recorder is off.";
    CERTIFICATE_EXPIRY: Gauge "evenkeel_certificate_expiry_timestamp_seconds" [listener certificate]
        "When the certificate that the listener uses runs out, in seconds since the Unix epoch.";
    CONFIG_RELOADS: Counter "evenkeel_config_reloads_total" [result]
        "Reloads of the configuration, by result.";
    CONFIG_REVERTS: Counter "evenkeel_config_reverts_total" [reason]
        "Reloads whose configuration went back to the one before because it was not confirmed, by reason.";
    CONFIG_AWAITING: Gauge "evenkeel_config_awaiting_confirmation" []
        "1 while the configuration in force goes back by itself unless it is confirmed.";
    CONFIG_RELOADED: Gauge "evenkeel_config_last_reload_successful" []
        "0 while the last reload of the configuration was refused, else 1.";
    CONFIG_GENERATION: Gauge "evenkeel_config_generation" []
        "Number of what is in force: 1 in a new process, and one more with each reload that took effect and each change of a split.";
    METRICS_FOLDED: Gauge "evenkeel_metrics_folded" [kind]
        "Servers, routes, or limits, mirrors and caches of routes, that count as `other` because too many have figures of their own.";
    WORKERS: Gauge "evenkeel_workers" []
        "Threads that serve requests.";
    UPGRADES: Counter "evenkeel_upgrades_total" [result]
        "Upgrades of the binary, by result; they go on to count in the new process.";
    BUILD_INFO: Gauge "evenkeel_build_info" [version]
        "Always 1; the version is its label.";

    PROCESS_CPU: Counter "process_cpu_seconds_total" []
        "User and system CPU time spent in seconds.";
    PROCESS_RESIDENT: Gauge "process_resident_memory_bytes" []
        "Resident memory size in bytes.";
    PROCESS_VIRTUAL: Gauge "process_virtual_memory_bytes" []
        "Virtual memory size in bytes.";
    PROCESS_OPEN_FDS: Gauge "process_open_fds" []
        "Open file descriptors.";
    PROCESS_MAX_FDS: Gauge "process_max_fds" []
        "Maximum number of open file descriptors.";
    PROCESS_START: Gauge "process_start_time_seconds" []
        "Start time of the process in seconds since the Unix epoch.";
    PROCESS_THREADS: Gauge "process_threads" []
        "Threads of the process.";
}

/// The values of `class`: the first digit of a status.
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

label! {
    /// Why a request was answered with an error instead of being forwarded.
    RequestRefusal {
        /// 400: not HTTP, or HTTP that two parties could read differently.
        Malformed = "malformed",
        /// 400: a path that the path policy refuses.
        BadPath = "bad_path",
        /// 431: the head exceeds `request_head` or `headers` of `[limits]` or of its route.
        HeadTooLarge = "head_too_large",
        /// 414: the target exceeds `limits.uri`.
        UriTooLong = "uri_too_long",
        /// 413: the body exceeds `request_body` of `[limits]` or of its route.
        BodyTooLarge = "body_too_large",
        /// 408: the head took longer than the listener's `timeout.head`.
        HeadTimeout = "head_timeout",
        /// 408: the body paused longer than the listener's `timeout.body`, or came slower than `limits.body_rate`.
        BodyTimeout = "body_timeout",
        /// 501 or 505: a transfer coding, method or HTTP version that is not supported.
        Unsupported = "unsupported",
        /// 417: an expectation other than `100-continue`.
        Expectation = "expectation",
        /// 421: its host is none that the certificate of its connection is for.
        Misdirected = "misdirected",
        /// 404: no route takes it.
        NoRoute = "no_route",
        /// 503: no server of the pool takes requests.
        NoBackend = "no_backend",
        /// 429: a rate limit of its route was reached.
        RateLimited = "rate_limited",
        /// 429: the listener's `limits.requests_per_connection` was reached.
        ConnectionRate = "connection_rate",
        /// 503: Redis, in which a rate limit is counted, does not answer.
        LimiterAway = "limiter_away",
        /// 503: the circuit breaker of the pool, or those of all its servers, are open.
        BreakerOpen = "breaker_open",
        /// 503: a limit of the pool is reached, and no permit came free in time.
        NoPlace = "no_place",
        /// 503: the process is overloaded, and the route is not of high priority.
        Overload = "overload",
        /// 508: it has passed through this cache node before, or through too many.
        Loop = "loop",
        /// No status, but `REFUSED_STREAM`: its connection of HTTP/2 has as many requests under way as it may have.
        TooManyStreams = "too_many_streams",
    }
}

label! {
    /// What a rate limit did with a request that it did not simply let through.
    LimitOutcome {
        /// It refused it.
        Refused = "refused",
        /// It would have refused it, but runs dry.
        WouldRefuse = "would_refuse",
        /// It let it through, and had to forget another key that was not at rest.
        Forgot = "forgot",
        /// Redis did not answer: `when_redis_is_away` decided.
        RedisAway = "redis_away",
    }
}

label! {
    /// Why a pool turned a request away.
    BreakerRefusal {
        /// Its circuit breaker is open.
        Open = "open",
        /// The circuit breakers of all servers that could have been chosen are open.
        ServersOpen = "servers_open",
        /// `breaker.max_requests` is reached, and there is no queue.
        MaxRequests = "max_requests",
        /// `breaker.max_connections`, likewise.
        MaxConnections = "max_connections",
        /// The limit of `concurrency`, likewise.
        Concurrency = "concurrency",
        /// `max_connections` of every server that could have been chosen, likewise.
        ServersFull = "servers_full",
        /// `breaker.max_retries`: the request was not tried again.
        MaxRetries = "max_retries",
    }
}

label! {
    /// What became of a request's copy.
    MirrorOutcome {
        /// It was sent, and answered in whatever way.
        Sent = "sent",
        /// Too many were under way, no server was there, or the request did not come to its end.
        Dropped = "dropped",
        /// The server did not answer, or not in time.
        Failed = "failed",
        /// Its body is longer than the mirror's `body`.
        TooLarge = "too_large",
    }
}

label! {
    /// What failed, so that another server could make it good.
    RetryCause {
        /// The server could not be reached, or did not look at the request.
        Connect = "connect",
        /// The connection ended before the first byte of an answer; behind it (`answered`) no other server is asked.
        Reset = "reset",
        /// No head of an answer in time.
        Timeout = "timeout",
        /// A status that the route retries.
        Status = "status",
    }
}

label! {
    /// What became of a try that another server could make good.
    RetryOutcome {
        /// Another server got the request.
        Retried = "retried",
        /// Not: a response had begun.
        Answered = "answered",
        /// Not: the answer had come before all of the request was sent.
        Early = "early",
        /// Not: requests with that method are not sent twice.
        Method = "method",
        /// Not: the body was too long to be kept.
        Body = "body",
        /// Not: as many servers have had it as may.
        Attempts = "attempts",
        /// Not: the request's time was up.
        Deadline = "deadline",
        /// Not: no server was left that had not had it.
        Servers = "servers",
        /// Not: too many servers could not be reached.
        Unreachable = "unreachable",
        /// Not: the pool's retry budget was used up.
        Budget = "budget",
        /// Not: `breaker.max_retries` were in flight.
        Limit = "limit",
    }
}

label! {
    /// How a hedge ended.
    HedgeOutcome {
        /// It answered first.
        Won = "won",
        /// Another server answered first, or none did.
        Lost = "lost",
    }
}

label! {
    /// Why a request left the queue without a permit, or found no room in it.
    QueueRefusal {
        /// `breaker.max_pending` waited already.
        Full = "full",
        /// It waited for the queue's `wait`, or to its own deadline.
        Timeout = "timeout",
        /// Its client left.
        Gone = "gone",
    }
}
