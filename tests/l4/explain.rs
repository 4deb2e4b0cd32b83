//! `explain tcp` says where a connection would go, and why; `check` says what cannot be.

use crate::support::{Folder, assert_rows, cli, explain_file};

const FILE: &str = r#"
[listener.mail]
bind = ["127.0.0.1:9993"]
protocol = "tcp"

[listener.db]
bind = ":5432"
protocol = "tcp"
pool = "db"

[[route]]
name = "imap"
listener = "mail"
sni = ["imap.example.com", "*.imap.example.com"]
pool = "imap"

[[route]]
name = "inside"
listener = "mail"
client = "10.0.0.0/8"
split = [{ pool = "imap", weight = 3 }, { pool = "db", weight = 0 }]

[pool.imap]
backends = [{ address = "10.0.0.1:993", name = "one" }]

[pool.db]
algorithm = "ip-hash"
backends = [{ address = "10.0.0.2:5432", name = "primary" }]
"#;

fn explain(arguments: &[&str]) -> (Option<i32>, String, String) {
    explain_file(FILE, &[&["tcp"], arguments].concat())
}

#[track_caller]
fn says(arguments: &[&str], rows: &[(&str, &str)]) {
    assert_rows(&explain(arguments), rows);
}

#[test]
fn a_name_leads_to_its_route() {
    says(
        &["127.0.0.1:9993", "--sni", "A.imap.example.com", "--client", "192.0.2.1"],
        &[
            ("listener", "mail"),
            ("sni", "a.imap.example.com"),
            ("route", "imap"),
            ("tls", "passes through, its server name is read"),
            ("pool", "imap"),
            ("server", "one"),
            ("address", "10.0.0.1:993"),
        ],
    );
    says(
        &["127.0.0.1:9993", "--client", "10.1.2.3"],
        &[("route", "inside"), ("split", "imap 3/3, db 0/3"), ("server", "one")],
    );
}

#[test]
fn what_no_route_takes_is_closed_and_each_route_says_why_not() {
    let arguments = ["127.0.0.1:9993", "--client", "192.0.2.1", "--sni", "other.example.com"];
    says(&arguments, &[("reason", "no route for this connection: the connection is closed")]);
    let (_, stdout, _) = explain(&arguments);
    for reason in [
        "the client asks for `other.example.com`, not for `imap.example.com` or `*.imap.example.com`",
        "the client 192.0.2.1 is not in 10.0.0.0/8",
    ] {
        assert!(stdout.contains(reason), "{stdout}");
    }
}

#[test]
fn the_listener_is_found_by_its_address() {
    says(&["10.9.9.9:5432"], &[("listener", "db"), ("server", "primary")]);
    says(&["5432"], &[("listener", "db"), ("tls", "passes through unseen, if there is any")]);
    let (code, _, stderr) = explain(&["127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("no listener has the address 127.0.0.1:1"), "{stderr}");
}

#[test]
fn what_a_connection_has_no_place_for_is_shown_where_it_stands() {
    let folder = Folder::new();
    let faulty = FILE.replace("bind = \":5432\"", "bind = \":5432\"\nhalf_close = \"serve\"");
    let file = folder.write("evenkeel.toml", &faulty);
    let outcome = cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(1));
    for part in ["`half_close` has no meaning on a tcp listener", "evenkeel.toml:8:1", "a tcp listener takes"]
    {
        assert!(outcome.stderr.contains(part), "no `{part}` in\n{}", outcome.stderr);
    }
}
