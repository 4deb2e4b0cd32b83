//! `explain udp` says where a datagram would go, and why.

use crate::support::{assert_rows, explain_file};

const FILE: &str = r#"
[listener.dns]
bind = "127.0.0.1:5300"
protocol = "udp"
pool = "public"

[listener.dns-tcp]
bind = "127.0.0.1:5300"
protocol = "tcp"
pool = "inside"

[listener.closed]
bind = 5400
protocol = "udp"
max_answers = "off"

[[route]]
listener = ["dns", "closed"]
client = "10.0.0.0/8"
pool = "inside"

[pool.public]
backends = [{ address = "10.0.0.1:53", name = "one" }]

[pool.inside]
algorithm = "ip-hash"
backends = [{ address = "10.0.0.2:53", name = "two" }]
"#;

fn explain(arguments: &[&str]) -> (Option<i32>, String, String) {
    explain_file(FILE, arguments)
}

#[track_caller]
fn says(arguments: &[&str], rows: &[(&str, &str)]) {
    assert_rows(&explain(arguments), rows);
}

#[test]
fn the_clients_address_decides() {
    says(
        &["udp", "127.0.0.1:5300", "--client", "10.1.2.3"],
        &[
            ("listener", "dns"),
            ("route", "dns/"),
            (
                "session",
                "until nothing moves for 30s; 8 answers a datagram until the client shows that it gets them",
            ),
            ("pool", "inside"),
            ("server", "two"),
        ],
    );
    says(
        &["udp", "127.0.0.1:5300", "--client", "192.0.2.1"],
        &[("route", "listener:dns"), ("server", "one")],
    );
}

#[test]
fn a_datagram_that_no_route_takes_is_dropped() {
    says(
        &["udp", "5400", "--client", "192.0.2.1"],
        &[("listener", "closed"), ("reason", "no route for this connection: the datagram is dropped")],
    );
    says(&["udp", "5400", "--client", "10.0.0.1"], &[("session", "until nothing moves for 30s")]);
}

#[test]
fn tcp_and_udp_at_one_address_are_told_apart() {
    says(
        &["tcp", "127.0.0.1:5300"],
        &[("listener", "dns-tcp"), ("tls", "passes through unseen, if there is any")],
    );
    let (code, _, stderr) = explain(&["udp", "127.0.0.1:53"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("no udp listener has the address 127.0.0.1:53"), "{stderr}");
    let (code, _, stderr) = explain(&["udp", "127.0.0.1:5300", "--listener", "dns-tcp"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("listener dns-tcp has `protocol = \"tcp\"`, and no udp comes there"), "{stderr}");
}
