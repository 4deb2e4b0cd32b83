//! The story of a request in text: what came, what was decided and why, what happened when, and who was at fault.

use evenkeel_observe::access::rfc3339;
use evenkeel_types::one_line;
use serde_json::Value;

use super::super::table::Table;

/// The story that a record tells.
pub(super) fn story(record: &Value) -> String {
    let mut out = head(record);
    out.push_str(&steps(record));
    out.push_str(&servers(record));
    out.push_str(&routes(record));
    out.push_str(&fields(record));
    out.push_str(&format!("\n{}\n", text(record, "verdict")));
    if record["look_at"].is_string() {
        out.push_str(&format!("Look at: {}\n", text(record, "look_at")));
    }
    out
}

fn head(record: &Value) -> String {
    let at = record["at"].as_f64().unwrap_or_default();
    let port = record["client_port"].as_u64().map(|port| format!(" port {port}")).unwrap_or_default();
    let request = match text(record, "method").as_str() {
        "" => "a head that could not be read".to_owned(),
        method => {
            let target = text(record, "target");
            let url = match target.starts_with('/') {
                true => format!("{}://{}{target}", text(record, "scheme"), text(record, "host")),
                false => target,
            };
            format!("{method} {url} {}", text(record, "version"))
        }
    };
    let status = match record["status"].as_u64() {
        None | Some(0) => "no status".to_owned(),
        Some(status) => status.to_string(),
    };
    let tries = match record["tries"].as_u64() {
        None | Some(0) => "no server was asked".to_owned(),
        Some(1) => "one server was asked".to_owned(),
        Some(tries) => format!("{tries} servers were asked"),
    };
    let mut out = format!(
        "{request}\nfrom {}{port} by listener {}, at {}\nrequest {}\n{status}, {} after {}; {tries}; kept because it {}\n",
        text(record, "client"),
        text(record, "listener"),
        rfc3339(at as u64),
        text(record, "id"),
        text(record, "ended").replace('_', " "),
        ms(&record["duration_ms"]),
        match text(record, "why_kept").as_str() {
            "failed" => "failed",
            "retried" => "was sent to more than one server",
            "slow" => "was slow",
            _ => "is one of the sample",
        },
    );
    if record["reason"].is_string() {
        out.push_str(&format!("reason: {}\n", text(record, "reason")));
    }
    let same = record["records_with_id"].as_u64().unwrap_or(1);
    if same > 1 {
        out.push_str(&format!("{same} requests had this id: this is the newest\n"));
    }
    out
}

fn steps(record: &Value) -> String {
    let mut out = String::from("\n");
    for step in list(record, "steps") {
        let at = format!("{:.1} ms", step["at_ms"].as_f64().unwrap_or_default());
        let server =
            if step["server"].is_string() { format!("{}: ", text(step, "server")) } else { String::new() };
        let took = match step["took_ms"].as_f64() {
            Some(took) => format!(" (took {took:.1} ms)"),
            None => String::new(),
        };
        out.push_str(&format!("{at:>12}  {:<8} {server}{}{took}\n", text(step, "kind"), text(step, "what")));
    }
    left_out(&mut out, record, "steps_left_out", "steps");
    if record["closed_first"].is_string() {
        out.push_str(&format!("{:>12}  closed first: the {}\n", "", text(record, "closed_first")));
    }
    out
}

fn servers(record: &Value) -> String {
    if list(record, "candidates").next().is_none() {
        return String::new();
    }
    let mut table = Table::new(&["SERVER", "STATE", "IN FLIGHT", "WEIGHT", "SCORE", "WHY"]);
    for server in list(record, "candidates") {
        let number = |key: &str| server[key].as_f64().map(|number| number.to_string()).unwrap_or_default();
        table.row([
            text(server, "server"),
            text(server, "state"),
            number("in_flight"),
            number("weight"),
            number("score"),
            text(server, "why"),
        ]);
    }
    let pool = text(record, "pool");
    let mut out =
        format!("\nthe servers of pool {pool}, as they stood when the request ended\n{}", table.render("  "));
    left_out(&mut out, record, "candidates_left_out", "servers");
    out
}

fn routes(record: &Value) -> String {
    let mut out = String::new();
    for (key, heading) in [
        ("nearly", "routes that match in part or are less specific"),
        ("nearest", "routes that come nearest"),
    ] {
        if list(record, key).next().is_some() {
            out.push_str(&format!("\n{heading}\n"));
        }
        for route in list(record, key) {
            out.push_str(&format!("  {:<24} {}\n", text(route, "route"), text(route, "why_not")));
        }
    }
    out
}

fn fields(record: &Value) -> String {
    let mut out = String::new();
    let fields: Vec<&Value> = list(record, "headers").collect();
    if !fields.is_empty() {
        out.push_str("\nfields of the request\n");
    }
    for field in fields {
        let part = |at: usize| one_line(field[at].as_str().unwrap_or_default());
        out.push_str(&format!("  {}: {}\n", part(0), part(1)));
    }
    left_out(&mut out, record, "headers_left_out", "fields");
    out
}

fn left_out(out: &mut String, record: &Value, key: &str, what: &str) {
    if let Some(number) = record[key].as_u64().filter(|number| *number > 0) {
        out.push_str(&format!("  and {number} {what} more, which are not kept\n"));
    }
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn text(value: &Value, key: &str) -> String {
    one_line(value[key].as_str().unwrap_or_default())
}

fn ms(value: &Value) -> String {
    format!("{:.1} ms", value.as_f64().unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Compares with a file beside this one; `UPDATE_GOLDEN=1` writes it.
    fn check(name: &str, record: &str) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/why/golden");
        let file = format!("{folder}/{name}.txt");
        let printed = story(&serde_json::from_str(record).unwrap());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(&file, &printed).unwrap();
        }
        assert_eq!(printed, std::fs::read_to_string(&file).unwrap_or_default(), "{file}");
    }

    #[test]
    fn a_failed_request_has_a_story_from_its_head_to_the_one_at_fault() {
        check(
            "failed",
            r#"{
                "id": "4bf92f3577b34da6a3ce929d0e0e4736", "at": 1764400000.25, "client": "203.0.113.7",
                "client_port": 51234, "method": "GET", "host": "shop.example.com",
                "target": "/api/cart?token=(redacted)", "status": 502, "ended": "backend_aborted",
                "duration_ms": 1.834, "route": "api", "pool": "app", "server": "b", "tries": 2,
                "reason": "connection refused; not retried: no server is left", "why_kept": "failed",
                "cause": "refused", "listener": "web", "scheme": "https", "version": "HTTP/1.1",
                "headers": [["host", "shop.example.com"], ["authorization", "(redacted)"]],
                "steps": [
                    {"at_ms": 0.0, "kind": "route", "what": "route `api` takes it: the most specific match: path /api"},
                    {"at_ms": 0.0, "kind": "choose", "what": "chosen: next in turn", "server": "a"},
                    {"at_ms": 0.9, "kind": "connect", "what": "connection refused", "server": "a", "took_ms": 0.9},
                    {"at_ms": 0.9, "kind": "retry", "what": "another server is asked"},
                    {"at_ms": 0.9, "kind": "choose", "what": "chosen: the only server that is up", "server": "b"},
                    {"at_ms": 1.7, "kind": "connect", "what": "connection refused", "server": "b", "took_ms": 0.8},
                    {"at_ms": 1.7, "kind": "retry", "what": "not retried: no server is left"},
                    {"at_ms": 1.8, "kind": "end", "what": "the client got the error 502"}
                ],
                "nearly": [{"route": "all", "why_not": "matches, but `api` is more specific"}],
                "candidates": [
                    {"server": "b", "state": "up", "score": 1.0, "in_flight": 0, "weight": 1.0, "why": "tried: connection refused"},
                    {"server": "a", "state": "up", "in_flight": 12, "weight": 0.5, "why": "tried: connection refused"},
                    {"server": "c", "state": "down", "in_flight": 0, "weight": 1.0, "why": "connection refused"}
                ],
                "candidates_left_out": 3, "closed_first": "server", "nearest": [], "records_with_id": 1,
                "fault": "server", "verdict": "The server was at fault: server b of pool app could not be reached.",
                "look_at": "Whether server b of pool app runs and listens."
            }"#,
        );
    }

    #[test]
    fn a_request_without_a_route_names_those_that_come_nearest() {
        check(
            "no_route",
            r#"{
                "id": "x", "at": 1764400000, "client": "unix", "method": "GET", "host": "h", "target": "/chart",
                "status": 404, "ended": "refused", "duration_ms": 0.1, "route": null, "pool": null, "server": null,
                "tries": 0, "reason": "no route for this request", "why_kept": "failed", "cause": "no_route",
                "listener": "web", "scheme": "http", "version": "HTTP/2.0", "headers": [],
                "steps": [{"at_ms": 0.0, "kind": "route", "what": "no route takes it"}],
                "nearly": [], "candidates": [], "closed_first": null, "records_with_id": 2,
                "nearest": [{"route": "cart", "why_not": "the path is `/chart`, not `/cart`"}],
                "fault": "configuration", "verdict": "No route takes such a request."
            }"#,
        );
    }

    #[test]
    fn a_client_cannot_speak_to_the_terminal() {
        let printed = story(&serde_json::json!({
            "id": "\u{1b}[2J", "method": "GET", "target": "/\u{7}\u{202e}", "headers": [["a\r", "\u{9b}x"]],
        }));
        assert!(!printed.contains(|c: char| c != '\n' && c.is_control() || c == '\u{202e}'), "{printed:?}");
    }
}
