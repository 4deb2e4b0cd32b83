//! Evenkeel: its defaults, and what the scenario is about.

use std::path::Path;

use super::Setting;
use crate::bench::certificate::Certificate;
use crate::bench::feature::{FILES, FILES_PATH};

/// Its configuration file.
pub fn file(setting: &Setting, access_log: &Path) -> String {
    // It takes HTTP/1.1 and HTTP/2 on every listener.
    let certificate = if setting.wire.tls() {
        let Certificate { cert, key } = setting.certificate;
        format!("tls.certificates = [{{ cert = {cert:?}, key = {key:?} }}]\n")
    } else {
        String::new()
    };
    let files = match setting.feature == FILES {
        true => format!("[[route]]\npath = \"{FILES_PATH}*\"\nfiles = {:?}\n\n", setting.dir),
        false => String::new(),
    };
    let backends: Vec<String> = setting.origins.iter().map(|o| format!("\"{o}\"")).collect();
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
{certificate}
{files}{rest}"#,
        workers = setting.workers,
        admin = setting.admin,
        log = access_log.display(),
        address = setting.address,
        rest = setting.feature.lines(&backends.join(", ")),
    )
}
