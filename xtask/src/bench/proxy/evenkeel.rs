//! Evenkeel: its defaults, and what the scenario is about.

use std::path::Path;

use super::Setting;
use crate::bench::certificate::Certificate;
use crate::bench::connection::Wire;
use crate::bench::feature::{FILES, FILES_PATH};

/// Its configuration file.
pub fn file(setting: &Setting, access_log: &Path) -> String {
    let listener = match setting.wire {
        // It takes HTTP/1.1 and HTTP/2 on every listener.
        Wire::Http1 | Wire::Http2 => String::new(),
        Wire::Http1Tls | Wire::Http2Tls => {
            let Certificate { cert, key } = setting.certificate;
            format!("tls.certificates = [{{ cert = {cert:?}, key = {key:?} }}]\n")
        }
        Wire::Tcp => "protocol = \"tcp\"\npool = \"app\"\n".into(),
        Wire::Udp => "protocol = \"udp\"\npool = \"app\"\n".into(),
    };
    let files = match setting.feature == FILES {
        true => format!("[[route]]\npath = \"{FILES_PATH}*\"\nfiles = {:?}\n\n", setting.dir),
        false => String::new(),
    };
    let backends: Vec<String> = setting.origins.iter().map(|o| format!("\"{o}\"")).collect();
    let backends = backends.join(", ");
    let rest = match setting.wire.layer_4() {
        true => format!("[pool.app]\nbackends = [{backends}]\n"),
        false => setting.feature.lines(&backends),
    };
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
{files}{rest}"#,
        workers = setting.workers,
        admin = setting.admin,
        log = access_log.display(),
        address = setting.address,
    )
}
