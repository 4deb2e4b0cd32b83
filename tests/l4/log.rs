//! The line of a connection in the combined format, which was made for requests.

use std::fs;
use std::net::TcpStream;

use super::server::{Server, config, connect, end, exchange, is_refused, line, reset, rest};
use crate::support::{Authority, Evenkeel, Folder, TlsClient, eventually};

/// What follows the time, once there are so many lines.
fn lines(path: &str, count: usize) -> Vec<String> {
    let text = || fs::read_to_string(path).unwrap_or_default();
    eventually("the lines are written", || text().lines().count() >= count && text().ends_with('\n'));
    let rest = |line: &str| {
        assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
        line.split_once("] ").unwrap().1.to_owned()
    };
    text().lines().map(rest).collect()
}

#[test]
fn a_line_of_the_combined_format_has_the_fields_that_its_readers_expect() {
    let folder = Folder::new();
    let path = folder.path("access.log");
    let server = Server::echo("a");
    let log = format!("[log]\naccess = \"{path}\"\nformat = \"combined\"\n");
    let evenkeel = Evenkeel::start_in(folder, &format!("{log}{}", config("", &[&server], "")));
    let open = || -> TcpStream {
        let client = connect(&evenkeel);
        assert_eq!(line(&client), "a");
        client
    };
    let client = open();
    assert_eq!(exchange(&client, b"hello"), b"hello");
    end(&client);
    assert_eq!(rest(&client), b"");
    lines(&path, 1);
    reset(open());
    lines(&path, 2);
    evenkeel.set_server("app", "a", "{\"state\": \"drain\"}");
    assert!(is_refused(&evenkeel));
    assert_eq!(
        lines(&path, 3),
        [
            "\"TCP db client_closed\" 0 7 \"-\" \"-\"",
            "\"TCP db client_reset\" 0 2 \"-\" \"-\"",
            "\"TCP db refused\" 0 - \"-\" \"-\"",
        ]
    );
}

#[test]
fn the_server_name_stands_behind_the_listener() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let own = authority.issue(&["db.example.com"]).write(&folder, "db");
    let path = folder.path("access.log");
    let server = Server::echo("a");
    let log = format!("[log]\naccess = \"{path}\"\nformat = \"combined\"\n");
    let tls = format!("tls.certificates = [{own}]");
    let evenkeel = Evenkeel::start_in(folder, &format!("{log}{}", config(&tls, &[&server], "")));
    let client = TlsClient::new(&authority);
    let mut connection = client.connect(evenkeel.listener("db"), "db.example.com").unwrap();
    assert_eq!(connection.exactly(2).unwrap(), b"a\n");
    drop(connection);
    let found = &lines(&path, 1)[0];
    assert!(
        found.starts_with("\"TCP db/db.example.com client_") && found.ends_with(" 0 2 \"-\" \"-\""),
        "{found}"
    );
}
