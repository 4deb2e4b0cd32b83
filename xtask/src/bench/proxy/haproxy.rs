//! HAProxy: connections to the origins are shared over HTTP, and large bodies spliced, which takes a quarter off their CPU time.

use std::net::SocketAddr;

use super::{ATTACK_PATH, Setting};
use crate::bench::connection::Wire;
use crate::bench::feature::GRPC;

/// Its configuration file.
pub fn file(setting: &Setting) -> String {
    if setting.wire.layer_4() {
        return tcp(setting);
    }
    let flags = match setting.wire {
        Wire::Http1 | Wire::Tcp | Wire::Udp => String::new(),
        Wire::Http2 => " proto h2".into(),
        // The key is found beside the certificate.
        Wire::Http1Tls | Wire::Http2Tls => {
            format!(" ssl crt {} alpn h2,http/1.1", setting.certificate.cert.display())
        }
    };
    let (cache, cached) = if setting.feature.caches() {
        let uses = "  http-request cache-use app\n  http-response set-header cache-control max-age=600\n  \
                    http-response cache-store app\n";
        let store = "\ncache app\n  total-max-size 256\n  max-object-size 2000000\n  max-age 600\n";
        (store, uses)
    } else {
        ("", "")
    };
    let servers = servers(setting.origins, if setting.feature == GRPC { " proto h2" } else { "" });
    let (attacked, use_attacked) = attacked(setting);
    let streams = setting
        .attacked
        .streams
        .map_or_else(String::new, |streams| format!("\n  tune.h2.max-concurrent-streams {streams}"));
    format!(
        r"global
  nbthread {workers}
  maxconn {connections}
  maxpipes 256{streams}

defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 60s
  timeout http-keep-alive 75s
  option forwardfor
  http-reuse always
  option splice-request
  option splice-response

frontend web
  bind {address} backlog 4096{flags}
{use_attacked}  default_backend app

backend app
  balance roundrobin
{cached}{servers}{attacked}{cache}",
        workers = setting.workers,
        connections = setting.connections_max,
        address = setting.address,
    )
}

/// The lines of servers whose connections are kept.
fn servers(origins: &[SocketAddr], flags: &str) -> String {
    let line = |(number, origin)| format!("  server s{number} {origin} pool-max-conn 512{flags}\n");
    (1..).zip(origins).map(line).collect()
}

/// The servers that are attacked, and which requests go to them, if there are some.
fn attacked(setting: &Setting) -> (String, String) {
    let origins = setting.attacked.origins;
    if origins.is_empty() {
        return Default::default();
    }
    let backend = format!("\nbackend attacked\n  balance roundrobin\n{}", servers(origins, ""));
    (backend, format!("  use_backend attacked if {{ path_beg {ATTACK_PATH} }}\n"))
}

/// The same for connections that are passed on as they come.
fn tcp(setting: &Setting) -> String {
    let servers: String =
        (1..).zip(setting.origins).map(|(number, o)| format!("  server s{number} {o}\n")).collect();
    format!(
        r"global
  nbthread {workers}
  maxconn {connections}
  maxpipes 256

defaults
  mode tcp
  timeout connect 5s
  timeout client 10m
  timeout server 10m
  option splice-auto

frontend messages
  bind {address} backlog 4096
  default_backend app

backend app
  balance roundrobin
{servers}",
        workers = setting.workers,
        connections = setting.connections_max,
        address = setting.address,
    )
}
