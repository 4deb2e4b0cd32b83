//! Black-box tests: they start the real binary on free ports, talk to it over real sockets, and import none of
//! its crates. One folder a feature, one file a scenario.
#![allow(clippy::unwrap_used)]

mod support;

mod run {
    mod demo;
    mod exit_codes;
    mod explain;
    mod quickstart;
    mod top;
    mod unix_sockets;
}

mod bench {
    mod errors;
    mod http2;
    mod loops;
    mod results;
    mod run;
    mod scenarios;
}

mod runtime {
    mod audit;
    mod draining;
    mod finding;
    mod on_change;
    mod reloading;
    mod servers;
    mod splits;
    mod state;
    mod token;
}

mod changing {
    mod confirm;
    mod diff;
    mod plan;
    mod save;
    mod secrets;
}

mod config {
    mod addresses;
    mod check;
    mod reload;
    mod reload_under_way;
    mod schema;
    mod show;
    mod warnings;
}

mod discovery {
    mod answers;
    mod connections;
    mod explain;
    mod failing;
    mod files;
    mod names;
    mod reload;
    mod services;
}

mod sockets {
    mod idle;
    pub mod options;
}

mod proxy_protocol {
    mod listener;
    mod pool;
    pub mod receiver;
}

mod routing {
    mod actions;
    mod conditions;
    mod header_edits;
    mod listeners;
    mod location;
    mod precedence;
    mod rewrite;
    mod slashes;
    mod split;
}

mod cache {
    mod concurrent;
    mod conditional;
    mod cut;
    mod disk {
        mod damage;
        mod full;
        mod kills;
        mod large;
        mod purging;
        mod ranges;
        mod restart;
        mod size;
        mod unusable;
    }
    mod explain;
    mod failing;
    mod figures;
    mod head;
    mod hits;
    mod http2;
    mod http2_servers;
    mod invalidation;
    mod key;
    mod leaving;
    mod limits;
    mod long;
    mod not_kept;
    mod parent;
    mod parent_loops;
    mod purging;
    mod ranges;
    mod reasons;
    mod reload;
    mod requests;
    mod revalidation;
    mod stale;
    mod storm;
    mod tls;
    mod vary;
}

mod files {
    mod changes;
    mod clients;
    mod compressed;
    mod conditions;
    mod fallback;
    mod listing;
    mod precompressed;
    mod ranges;
    mod serving;
    pub mod site;
    mod stalling;
}

mod recorder {
    mod answered;
    mod bounds;
    mod failures;
    pub mod kept;
}

mod tls {
    mod check;
    mod clients;
    mod expiry;
    mod full_buffers;
    mod misdirected;
    mod reload;
    mod scheme;
    mod server_name;
    mod serving;
    mod upstream;
}

mod balancing {
    mod backup;
    mod drain;
    mod hashing;
    mod least_connections;
    mod least_response_time;
    mod refused;
    mod reload;
    mod round_robin;
}

mod health {
    mod active_http;
    mod active_tcp;
    mod checks;
    mod outlier;
    mod outlier_causes;
    mod panic;
    mod passive;
    mod slow_start;
    mod start_period;
    mod transitions;
}

mod databases {
    mod postgres_failover;
    mod postgres_gap;
    mod postgres_lag;
    mod postgres_reads;
    mod postgres_refusals;
    mod postgres_roles;
    mod postgres_writes;
    mod psql;
    mod redis_cli;
    mod redis_roles;
    mod sessions;
    pub mod setting;
    mod tls;
}

mod failures {
    mod deadlines;
    mod hedging;
    mod hedging_answers;
    mod retries;
    mod waiting;
}

mod breaker {
    mod causes;
    mod changes;
    mod concurrency;
    mod hedges;
    mod http2;
    mod limits;
    pub mod max_connections;
    mod queue;
    mod reload;
    mod retries;
    mod servers;
    pub mod trip;
}

mod overload {
    mod accepting;
    mod delay;
    mod descriptors;
    mod http2;
    mod priorities;
}

mod affinity {
    mod app_cookie;
    mod cookie;
    mod header;
}

mod http1 {
    mod absolute_form;
    mod chunked;
    mod client_reset;
    mod close_delimited;
    mod connection_options;
    pub mod date;
    mod early_answer;
    mod empty_bodies;
    mod expect;
    mod forwarded;
    mod forwarded_port;
    mod half_closed;
    mod http10;
    mod interim;
    mod keep_alive;
    mod keep_alive_limits;
    mod pipelining;
    mod plain;
    mod refused_bodies;
    mod request_id;
    mod retry;
    mod trailers;
    mod uploads;
    mod via;
}

mod http2 {
    mod conformance;
    mod empty_bodies;
    mod failing_servers;
    mod fair;
    mod good_will;
    mod interim;
    mod malformed;
    mod memory;
    mod plain;
    mod refused_bodies;
    mod servers;
    mod turns;
    mod upstream;
    mod whole_bodies;
}

mod attacks {
    mod s01_abandoned;
    mod s01_floods;
    mod s01_rapid_reset;
    mod s02_made_you_reset;
    mod s03_continuation_flood;
    mod s04_hpack_bomb;
    mod s04_windows;
    mod s05_desync;
    mod s05_smuggling;
    mod s06_downgrade;
    mod s07_tunnels;
    mod s07_upgrade_variants;
    mod s08_header_bytes;
    mod s08_injection;
    mod s09_chunk_variants;
    mod s09_chunks;
    mod s10_open_uploads;
    mod s10_slow;
    mod s10_slow_variants;
    mod s11_oversized;
    mod s11_oversized_variants;
    mod s12_files;
    mod s12_path_variants;
    mod s12_paths;
    mod s13_host;
    mod s13_host_variants;
    mod s14_hop_by_hop;
    mod s14_hop_by_hop_variants;
    mod s14_look_alikes;
    mod s15_forged;
    mod s15_forged_trailers;
    mod s15_forged_variants;
    mod s16_cache_headers;
    mod s16_cache_paths;
    mod s16_cache_responses;
    mod s16_cache_users;
    mod s17_proxy_protocol;
    mod s21_admin;
    mod s21_admin_operations;
    mod s21_admin_variants;
    mod s22_bombs;
    mod s23_complexity;
    mod s24_descriptors;
    mod s25_response_splitting;
    mod s25_response_variants;
}

mod chaos {
    mod clients;
    mod matrix;
}

mod limits {
    mod clients;
    mod cookies;
    mod http2;
    mod rate;
    mod redis;
    mod responses;
    mod sizes;
}

mod mirroring {
    mod copies;
    mod failing;
    mod http2;
    mod limits;
}

mod log {
    mod debug;
    mod fields;
    mod journald;
    mod sampling;
    mod syslog;
}

mod timeouts {
    mod client;
    mod http2;
    mod request;
    pub mod server;
    mod slow_readers;
}

mod compress {
    pub mod decode;
    mod encodings;
    mod heads;
    mod kept;
    mod settings;
    mod streams;
}

mod bodies {
    mod back_pressure;
    mod large;
    mod moved;
    mod streaming;
}

mod traces {
    mod away;
    mod context;
    mod reload;
    mod routes;
    mod sampling;
    mod spans;
    mod tries;
}

mod upgrade {
    mod http2_servers;
    mod layered;
    mod tunnel;
    mod with_body;
    mod without_101;
}

mod upgrade_binary {
    mod audit;
    mod kept;
    mod load;
    mod purges;
    mod refused;
    mod setting;
    mod sockets;
    mod systemd;
    mod udp;
}

mod observability {
    mod access_log;
    mod cardinality;
    mod errors;
    mod explain;
    mod idle_servers;
    mod live;
    mod metrics;
    mod status;
}

mod l4 {
    mod addresses;
    mod choosing;
    mod endings;
    mod explain;
    mod large;
    mod leaks;
    mod log;
    mod pools;
    mod routes;
    pub mod server;
    mod tls;
    mod tls_ends;
}

mod udp {
    mod addresses;
    mod explain;
    mod failing;
    mod headers;
    mod limits;
    mod many;
    mod reload;
    pub mod server;
    mod sessions;
}

mod leaving {
    mod graceful;
    mod signals;
}
