//! What `discover`, `[resolver]` and files of servers mean.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use evenkeel_config::*;

const LISTENER: &str = "[listener.web]\nbind = \":80\"\npool = \"app\"\n";
const POOL: &str = "[pool.app]\nbackends = [\"10.0.0.1:80\"]\n";

fn read(text: &str) -> Config {
    parse("test.toml", text).unwrap_or_else(|faults| panic!("{faults}\nin\n{text}")).config
}

/// Pool `app` with `lines` more.
fn pool(lines: &str) -> Pool {
    read(&format!("{LISTENER}{POOL}{lines}\n")).pools.remove(0)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn servers_may_be_discovered() {
    let discovered = |value: &str| {
        read(&format!("{LISTENER}[pool.app]\ndiscover = {value}\n")).pools.remove(0).discover.unwrap()
    };
    let dns = |name: &str, port| Discover::Dns { name: name.into(), port };
    assert_eq!(discovered(r#"{ dns = "API.internal:8080" }"#), dns("api.internal", 8080));
    assert_eq!(discovered(r#"{ dns = "api.internal.:80" }"#), dns("api.internal.", 80));
    assert_eq!(discovered(r#"{ srv = "_http._tcp.api" }"#), Discover::Srv("_http._tcp.api".into()));
    assert_eq!(discovered(r#"{ file = "servers.toml" }"#), Discover::File("servers.toml".into()));
    let beside = pool("discover = { file = \"servers.toml\" }");
    assert_eq!((beside.backends.len(), beside.discover.is_some()), (1, true));
    assert_eq!(pool("").discover, None);
}

#[test]
fn the_resolver_has_defaults_and_takes_servers_with_and_without_ports() {
    let resolver = read(&format!("{LISTENER}{POOL}")).resolver;
    assert_eq!((resolver.servers.len(), resolver.attempts), (0, 2));
    assert_eq!(
        (resolver.timeout, resolver.ttl_min, resolver.ttl_max),
        (seconds(2), seconds(1), seconds(300))
    );
    let servers = r#"["10.0.0.53", "fd00::53", "[fd00::53]:5353", "127.0.0.1:53"]"#;
    let servers = read(&format!("{LISTENER}{POOL}[resolver]\nservers = {servers}")).resolver.servers;
    let servers: Vec<String> = servers.iter().map(|server| server.0.to_string()).collect();
    assert_eq!(servers, ["10.0.0.53:53", "[fd00::53]:53", "[fd00::53]:5353", "127.0.0.1:53"]);
}

#[test]
fn a_file_of_servers_is_read_as_a_pool_is() {
    let text = "backends = [\"10.0.0.1:80\", { address = \"10.0.0.2:80\", name = \"b\", weight = 3, backup = true }]\n";
    let servers = parse_servers("servers.toml", text).unwrap();
    let ids: Vec<&str> = servers.iter().map(|server| server.id.as_str()).collect();
    assert_eq!(ids, ["10.0.0.1:80", "b"]);
    assert_eq!((servers[1].weight, servers[1].backup), (3, true));
    for (text, fault) in [
        ("", "has no `backends`"),
        ("backends = []", "`backends` is empty"),
        ("backends = [\"10.0.0.1:80\", \"10.0.0.1:80\"]", "two servers of this file are called"),
        ("backends = [\"10.0.0.1\"]", "no port"),
        ("backend = [80]", "unknown key `backend`"),
        ("backends = [", ""),
    ] {
        let faults = parse_servers("servers.toml", text).unwrap_err();
        let said: String = faults.iter().map(|fault| format!("{}\n", fault.message())).collect();
        assert!(said.contains(fault), "{text}: {said}");
    }
}
