//! Evenkeel: its defaults, and what the scenario is about.

use std::net::SocketAddr;
use std::path::Path;

use super::{ATTACK_PATH, Setting};
use crate::bench::certificate::Certificate;
use crate::bench::connection::Wire;
use crate::bench::feature::{FILES, FILES_PATH};

/// Its configuration file.
pub fn file(setting: &Setting, access_log: &Path) -> String {
    let mut listener = match setting.wire {
        // It takes HTTP/1.1 and HTTP/2 on every listener.
        Wire::Http1 | Wire::Http2 => String::new(),
        Wire::Http1Tls | Wire::Http2Tls => {
            let Certificate { cert, key } = setting.certificate;
            format!("tls.certificates = [{{ cert = {cert:?}, key = {key:?} }}]\n")
        }
        Wire::Tcp => "protocol = \"tcp\"\npool = \"app\"\n".into(),
        Wire::Udp => "protocol = \"udp\"\npool = \"app\"\n".into(),
    };
    if let Some(streams) = setting.attacked.streams {
        listener.push_str(&format!("limits = {{ http2_streams = {streams} }}\n"));
    }
    let files = match setting.feature == FILES {
        true => format!("[[route]]\npath = \"{FILES_PATH}*\"\nfiles = {:?}\n\n", setting.dir),
        false => String::new(),
    };
    let backends = backends(setting.origins);
    let rest = match setting.wire.layer_4() {
        true => format!("[pool.app]\nbackends = [{backends}]\n"),
        false => setting.feature.lines(&backends),
    };
    let attacked = attacked(setting);
    format!(
        r#"[server]
workers = {workers}

[admin]
bind = "{admin}"

[log]
access = "{log}"
format = "json"

[listener.web]
bind = ["{address}"]
{listener}
{files}{attacked}{rest}"#,
        workers = setting.workers,
        admin = setting.admin,
        log = access_log.display(),
        address = setting.address,
    )
}

/// A list of servers, without its brackets.
fn backends(origins: &[SocketAddr]) -> String {
    origins.iter().map(|origin| format!("\"{origin}\"")).collect::<Vec<_>>().join(", ")
}

/// The route to the servers that are attacked, if there are some.
fn attacked(setting: &Setting) -> String {
    let origins = setting.attacked.origins;
    if origins.is_empty() {
        return String::new();
    }
    format!(
        "[[route]]\npath = \"{ATTACK_PATH}*\"\npool = \"attacked\"\n\n\
         [pool.attacked]\nbackends = [{}]\nkeepalive = 512\n\n",
        backends(origins)
    )
}
