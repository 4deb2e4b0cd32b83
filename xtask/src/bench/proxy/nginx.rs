//! nginx: connections without limit, large answers not buffered, files by sendfile.

use std::net::SocketAddr;
use std::path::Path;

use super::{ATTACK_PATH, Setting};
use crate::bench::certificate::Certificate;
use crate::bench::connection::Wire;
use crate::bench::feature::{COMPRESSION_LEVEL, FILES, FILES_PATH, GRPC};
use crate::bench::install;
use crate::origin::{LARGE_PATH, MEDIUM_PATH, UPLOAD_PATH};

/// Its configuration file.
pub fn file(setting: &Setting, access_log: &Path) -> String {
    if setting.wire.layer_4() {
        return stream(setting, access_log);
    }
    let servers = servers(setting.origins);
    let (flags, certificate) = transport(setting);
    let (attacked, attack) = attacked(setting);
    let (zone, cached) = cache(setting);
    let master = master(setting);
    // Its own best way with files: a cache of open ones, asked as seldom as ours, and sendfile.
    let files = match setting.feature == FILES {
        true => format!(
            "location {FILES_PATH} {{ alias {}/; sendfile on; tcp_nopush on; open_file_cache max=1000; open_file_cache_valid 1s; }}",
            setting.dir.display()
        ),
        false => String::new(),
    };
    let (module, compressed) = match setting.feature.compression() {
        Some(encoding) => compression(encoding),
        None => (String::new(), String::new()),
    };
    let long = long(setting);
    let streams = setting
        .attacked
        .streams
        .map_or_else(String::new, |streams| format!("\n  http2_max_concurrent_streams {streams};"));
    let pass = if setting.feature == GRPC { "grpc_pass grpc" } else { "proxy_pass http" };
    // Limits on requests per connection would only hold it back.
    format!(
        r#"{module}daemon off;
master_process {master};
worker_processes {workers};
pid {dir}/nginx.pid;
error_log stderr warn;
events {{ worker_connections {connections}; }}
http {{
  access_log {log} combined buffer=64k;{zone}
  client_body_temp_path {dir};
  proxy_max_temp_file_size 0;
  keepalive_requests 1000000000;{streams}
  tcp_nodelay on;
  upstream app {{
{servers}    keepalive 512;
    keepalive_requests 1000000000;
  }}{attacked}
  server {{
    listen {address} backlog=4096{flags};{certificate}
    proxy_http_version 1.1;{cached}{compressed}
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    location / {{ {pass}://app; }}{attack}
    {files}
    {long}
  }}
}}
"#,
        workers = setting.workers,
        dir = setting.dir.display(),
        connections = 2 * setting.connections_max,
        log = access_log.display(),
        address = setting.address,
    )
}

/// The lines of servers.
fn servers(origins: &[SocketAddr]) -> String {
    origins.iter().map(|origin| format!("    server {origin};\n")).collect()
}

/// The servers that are attacked, and which requests go to them, if there are some.
fn attacked(setting: &Setting) -> (String, String) {
    let origins = setting.attacked.origins;
    if origins.is_empty() {
        return Default::default();
    }
    let upstream = format!(
        "\n  upstream attacked {{\n{}    keepalive 512;\n    keepalive_requests 1000000000;\n  }}",
        servers(origins)
    );
    (upstream, format!("\n    location {ATTACK_PATH} {{ proxy_pass http://attacked; }}"))
}

/// Under another program, one process does the work of master and worker: that is the one to look at.
fn master(setting: &Setting) -> &'static str {
    if setting.runner.is_empty() { "on" } else { "off" }
}

/// The same for what is passed on as it comes; the form of the log is that of its manual.
fn stream(setting: &Setting, access_log: &Path) -> String {
    let servers = servers(setting.origins);
    let module = match install::find(install::NGINX_STREAM) {
        Some(file) => format!("load_module {};\n", file.display()),
        None => String::new(),
    };
    let flags = if setting.wire == Wire::Udp { " udp reuseport" } else { " backlog=4096" };
    format!(
        r#"{module}daemon off;
master_process {master};
worker_processes {workers};
pid {dir}/nginx.pid;
error_log stderr warn;
events {{ worker_connections {connections}; }}
stream {{
  log_format basic '$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received $session_time "$upstream_addr"';
  access_log {log} basic buffer=64k;
  upstream app {{
{servers}  }}
  server {{
    listen {address}{flags};
    proxy_pass app;
  }}
}}
"#,
        master = master(setting),
        workers = setting.workers,
        dir = setting.dir.display(),
        connections = 2 * setting.connections_max,
        log = access_log.display(),
        address = setting.address,
    )
}

/// Flags of the listener, and the certificate.
fn transport(setting: &Setting) -> (&'static str, String) {
    match setting.wire {
        Wire::Http1 | Wire::Tcp | Wire::Udp => ("", String::new()),
        Wire::Http2 => (" http2", String::new()),
        Wire::Http1Tls | Wire::Http2Tls => {
            let Certificate { cert, key } = setting.certificate;
            let [cert, key] = [cert.display(), key.display()];
            let lines = format!(
                "\n    ssl_certificate {cert};\n    ssl_certificate_key {key};\n    ssl_protocols TLSv1.2 TLSv1.3;"
            );
            (" ssl http2", lines)
        }
    }
}

/// Its best way with long bodies. Answers that are buffered by 4 KiB, as it does otherwise, take it half as much CPU time again. Those
/// in its cache go out by sendfile, which makes short ones slower.
fn long(setting: &Setting) -> String {
    let settings = if setting.feature.caches() {
        "sendfile on;"
    } else {
        "proxy_buffering off; proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;"
    };
    let location = |path| format!("location = {path} {{ proxy_pass http://app; {settings} }}");
    // Bodies of requests are passed on as they come, and not written to a file before.
    let upload = format!(
        "location = {UPLOAD_PATH} {{ proxy_pass http://app; proxy_request_buffering off; client_max_body_size 2m; }}"
    );
    [location(MEDIUM_PATH), location(LARGE_PATH), upload].join("\n    ")
}

/// The zone of the cache, and its use: files that stay open.
fn cache(setting: &Setting) -> (String, &'static str) {
    if !setting.feature.caches() {
        return (String::new(), "");
    }
    let zone = format!(
        "\n  proxy_cache_path {}/nginx-cache keys_zone=app:32m max_size=256m inactive=1h;",
        setting.dir.display()
    );
    (zone, "\n    proxy_cache app; proxy_cache_valid 200 10m; open_file_cache max=1000;")
}

/// The module that it takes, and the settings: the same level as ours.
fn compression(encoding: &str) -> (String, String) {
    let name = if encoding == "br" { "brotli" } else { encoding };
    let module = match install::find(install::NGINX_BROTLI) {
        Some(file) if encoding == "br" => format!("load_module {};\n", file.display()),
        _ => String::new(),
    };
    let proxied = if encoding == "gzip" { " gzip_proxied any;" } else { "" };
    let settings = format!(
        "\n    {name} on; {name}_comp_level {COMPRESSION_LEVEL}; {name}_types *;{proxied}\n    \
         proxy_buffers 8 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k;"
    );
    (module, settings)
}
