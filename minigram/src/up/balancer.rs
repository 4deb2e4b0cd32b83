//! Evenkeel before the application: its configuration file with the addresses of this run, and its process.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value, value};

use crate::process::{Process, Program};

/// The configuration that the reader sees in the repository.
pub const TEMPLATE: &str = include_str!("../../evenkeel/embedded.toml");

/// How long it may take to begin.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// How long it may take to answer once.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// What one run puts into the template.
#[derive(Debug)]
pub struct Addresses<'a> {
    /// Where clients connect.
    pub listener: SocketAddr,
    /// Where the admin API is.
    pub admin: SocketAddr,
    /// The application servers: names and addresses.
    pub servers: &'a [(String, SocketAddr)],
    /// A collector of the traces of all requests.
    pub otlp: Option<&'a str>,
}

/// The template with the addresses of this run. Its comments stay.
///
/// # Errors
/// The template is broken.
pub fn configuration(addresses: &Addresses<'_>) -> anyhow::Result<String> {
    let mut document: DocumentMut = TEMPLATE.parse().context("the template of Evenkeel's configuration")?;
    let mut set = |path: &[&str], new: Value| set(document.as_table_mut(), path, new);
    set(&["listener", "web", "bind"], addresses.listener.to_string().into())?;
    set(&["admin", "bind"], addresses.admin.to_string().into())?;
    set(&["pool", "app", "backends"], backends(addresses.servers).into())?;
    if let Some(otlp) = addresses.otlp {
        let mut tracing = Table::new();
        tracing.insert("otlp", value(otlp));
        // Evenkeel decides for all processes behind it.
        tracing.insert("sample", value("100%"));
        document.insert("tracing", Item::Table(tracing));
    }
    Ok(document.to_string())
}

/// Replaces a value, and keeps the comment behind it.
fn set(table: &mut Table, path: &[&str], mut new: Value) -> anyhow::Result<()> {
    let (key, tables) = path.split_last().context("no key")?;
    let mut table = table;
    for name in tables {
        let next = table.get_mut(name).and_then(Item::as_table_mut);
        table = next.with_context(|| format!("the template has no table {name}"))?;
    }
    let old = table.get_mut(key).and_then(Item::as_value_mut);
    let old = old.with_context(|| format!("the template has no key {key}"))?;
    *new.decor_mut() = old.decor().clone();
    *old = new;
    Ok(())
}

fn backends(servers: &[(String, SocketAddr)]) -> Array {
    let mut array = Array::new();
    for (name, address) in servers {
        let mut server = InlineTable::new();
        server.insert("name", name.as_str().into());
        server.insert("address", address.to_string().into());
        let mut server = Value::from(server);
        server.decor_mut().set_prefix("\n    ");
        array.push_formatted(server);
    }
    array.set_trailing_comma(true);
    array.set_trailing("\n");
    array
}

/// Starts it with a configuration file; its messages go to `log`.
///
/// # Errors
/// It cannot be started.
pub fn start(program: &Path, configuration: &Path, log: &Path) -> anyhow::Result<Process> {
    let program = Program::new("evenkeel", program, log).args(["run", "-c"]).arg(configuration);
    Process::start(&program).context("evenkeel cannot be started")
}

/// Waits until a server of the application answers through `address`, which is one of its listeners.
///
/// # Errors
/// It ends before, or takes too long.
pub async fn ready(process: &Process, address: SocketAddr) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().timeout(ANSWER_TIME_MAX).no_proxy().build()?;
    let url = format!("http://{address}/api/v1/openapi.json");
    let answers =
        || async { client.get(&url).send().await.is_ok_and(|response| response.status().is_success()) };
    process.wait_until("a server answers through it", START_TIME_MAX, answers).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Limits;
    use crate::settings::Span;

    /// Otherwise a request that a server is about to refuse with `Retry-After` is answered 504 without.
    #[test]
    fn evenkeel_waits_longer_than_a_server_takes_to_refuse() {
        let template: DocumentMut = TEMPLATE.parse().unwrap();
        let response = template["pool"]["app"]["timeout"]["response"].as_str().unwrap();
        let Span(response) = response.parse().unwrap();
        assert!(response >= Limits::default().request + Duration::from_secs(1), "{response:?}");
    }

    #[test]
    fn the_addresses_are_set_and_the_comments_stay() {
        let servers = [("app-1".to_owned(), "127.0.0.1:4001".parse().unwrap())];
        let addresses = Addresses {
            listener: "127.0.0.1:4000".parse().unwrap(),
            admin: "127.0.0.1:4002".parse().unwrap(),
            servers: &servers,
            otlp: Some("http://127.0.0.1:4318"),
        };
        let text = configuration(&addresses).unwrap();
        assert!(text.contains("bind = \"127.0.0.1:4000\"\n"), "{text}");
        assert!(text.contains("bind = \"127.0.0.1:4002\"\n"), "{text}");
        assert!(text.contains("{ name = \"app-1\", address = \"127.0.0.1:4001\" },\n]"), "{text}");
        assert!(text.contains("[tracing]\notlp = \"http://127.0.0.1:4318\"\nsample = \"100%\""), "{text}");
        assert!(!text.contains(":8001") && !text.contains(":8080"), "{text}");
        assert_eq!(text.matches("# ").count(), TEMPLATE.matches("# ").count());
    }
}
