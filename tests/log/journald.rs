//! The access log in systemd's journal: entries of its native protocol, with a field for each key.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;

use crate::support::{DEADLINE, Evenkeel, Folder, Origin, pool};

/// The fields of an entry, as the journal reads it.
fn fields(mut entry: &[u8]) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut fields = BTreeMap::new();
    while !entry.is_empty() {
        let line = entry.iter().position(|byte| *byte == b'\n').unwrap();
        let (name, value) = match entry[..line].iter().position(|byte| *byte == b'=') {
            Some(at) => {
                let pair = (text(&entry[..at]), text(&entry[at + 1..line]));
                entry = &entry[line + 1..];
                pair
            }
            None => {
                let (length, rest) = entry[line + 1..].split_first_chunk::<8>().unwrap();
                let (value, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
                let pair = (text(&entry[..line]), text(value));
                entry = rest.strip_prefix(b"\n").unwrap();
                pair
            }
        };
        assert!(name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'), "{name}");
        assert!(fields.insert(name, value).is_none());
    }
    fields
}

fn entry(socket: &UnixDatagram) -> BTreeMap<String, String> {
    let mut buffer = [0; 262_144];
    let length = socket.recv(&mut buffer).unwrap();
    fields(&buffer[..length])
}

fn start(log: &str) -> (Evenkeel, UnixDatagram, Origin) {
    let (folder, origin) = (Folder::new(), Origin::named("alpha"));
    let path = folder.path("journal");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let toml = format!("[log]\naccess = \"journald:{path}\"\n{log}{}", pool(&[&origin], ""));
    (Evenkeel::start_in(folder, &toml), socket, origin)
}

#[test]
fn each_key_of_a_line_is_a_field_of_the_entry() {
    let (evenkeel, socket, _origin) = start("fields = { tenant = \"request-header:x-tenant\" }\n");
    evenkeel.client().get_with("/cart?a=\"b\"", "x-tenant: acme\r\nuser-agent: probe \"q\"\r\n");
    let fields = entry(&socket);
    for (name, value) in [
        ("PRIORITY", "6"),
        ("SYSLOG_IDENTIFIER", "evenkeel"),
        ("EVENKEEL_METHOD", "GET"),
        ("EVENKEEL_TARGET", "/cart?a=\"b\""),
        ("EVENKEEL_STATUS", "200"),
        ("EVENKEEL_POOL", "app"),
        ("EVENKEEL_BACKEND", "alpha"),
        ("EVENKEEL_USER_AGENT", "probe \"q\""),
        ("EVENKEEL_TENANT", "acme"),
        ("EVENKEEL_ENDED", "complete"),
    ] {
        assert_eq!(fields.get(name).map(String::as_str), Some(value), "{name} in {fields:?}");
    }
    let message = &fields["MESSAGE"];
    assert!(message.starts_with("GET test/cart?a=\"b\" 200 in ") && message.ends_with(" ms"), "{message}");
    assert_eq!(fields.get("EVENKEEL_REFERER"), None, "what is not known has no field");
}

#[test]
fn no_value_can_forge_a_field() {
    let (evenkeel, socket, _origin) = start("");
    let mut client = evenkeel.client();
    client.send(b"GET /x HTTP/1.1\r\nhost: test\r\nuser-agent: \xff\"\\n\tEVENKEEL_STATUS=999\r\n\r\n");
    client.answer("GET");
    let fields = entry(&socket);
    assert_eq!(fields["EVENKEEL_USER_AGENT"], "\u{fffd}\"\\n\tEVENKEEL_STATUS=999");
    assert_eq!(fields["EVENKEEL_STATUS"], "200");
}

#[test]
fn a_long_line_is_one_entry() {
    let (evenkeel, socket, _origin) = start("");
    let long = "a".repeat(8_000);
    evenkeel.client().get_with(&format!("/{long}"), &format!("user-agent: {long}\r\nreferer: {long}\r\n"));
    let fields = entry(&socket);
    assert!(fields["EVENKEEL_TARGET"].len() > 2_000 && fields["EVENKEEL_REFERER"].len() > 2_000);
}

#[test]
fn the_combined_format_is_the_message() {
    let (evenkeel, socket, _origin) = start("format = \"combined\"\n");
    evenkeel.get("/plain");
    let fields = entry(&socket);
    assert!(fields["MESSAGE"].contains("\"GET /plain HTTP/1.1\" 200 "), "{fields:?}");
    assert_eq!(fields.get("EVENKEEL_STATUS"), None);
}
