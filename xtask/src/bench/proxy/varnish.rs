//! Varnish: everything from memory, and no log but its own in shared memory.

use super::Setting;

/// Its configuration in VCL. Hits never reach the origin, so one is enough.
pub fn file(setting: &Setting) -> String {
    let [ip, port] = match setting.origins.first() {
        Some(origin) => [origin.ip().to_string(), origin.port().to_string()],
        None => Default::default(),
    };
    format!(
        r#"vcl 4.1;
backend app {{ .host = "{ip}"; .port = "{port}"; }}
sub vcl_backend_response {{ set beresp.ttl = 10m; }}
"#
    )
}

/// Its flags, before the file. One pool of threads, because it has one core.
pub fn flags(setting: &Setting) -> Vec<String> {
    let address = setting.address.to_string();
    let dir = setting.dir.join("varnish").display().to_string();
    let flags = ["-F", "-a", &address, "-n", &dir, "-s", "malloc,256M", "-p", "thread_pools=1", "-f"];
    super::words(&flags)
}
