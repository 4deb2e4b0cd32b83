//! S21 for each operation that the running process describes in `/openapi.json`: the token, the host, and pages of other sites.

use serde_json::Value;

use crate::support::message::{Head, status};
use crate::support::{Client, Evenkeel, Folder, Origin, pool};

/// The operations that probes use, which have no token.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];
const RIGHT: &str = "authorization: Bearer correct horse battery\r\n";

/// A method and a path of the API.
type Operation = (String, String);

/// Parts of the configuration that the paths name.
fn routes_and_pools(origin: &Origin) -> String {
    let pool = pool(&[origin], "");
    format!(
        "[[route]]\nname = \"r\"\npath = \"/r/*\"\n\
         split = [{{ pool = \"app\", weight = 9 }}, {{ pool = \"other\", weight = 1 }}]\n\
         [pool.other]\nbackends = [\"127.0.0.1:9\"]\n{pool}"
    )
}

/// A process whose API demands the token, and one whose API has none.
fn start(token: bool, origin: &Origin) -> Evenkeel {
    let folder = Folder::new();
    let file = folder.write("token", "correct horse battery\n");
    let keys = if token { format!("token_file = \"{file}\"\n") } else { String::new() };
    let admin = format!("[admin]\nbind = \"127.0.0.1:0\"\n{keys}");
    Evenkeel::start_in(folder, &format!("{admin}{}", routes_and_pools(origin)))
}

/// The head of an answer, whose body may be without an end. What is sent changes nothing by itself: it is no JSON.
fn ask(evenkeel: &Evenkeel, (method, path): &Operation, fields: &str) -> (u16, Head) {
    let body = "content-type: text/plain\r\ncontent-length: 1\r\nconnection: close\r\n\r\n-";
    let end = if is_change(method) { body } else { "connection: close\r\n\r\n" };
    let mut client = Client::connect(evenkeel.admin_address());
    client.send(format!("{method} {path} HTTP/1.1\r\n{fields}{end}"));
    let head = client.head().unwrap_or_else(|fault| panic!("no answer to {method} {path}: {fault:?}"));
    let shared = head.fields.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("access-control-"));
    assert!(!shared, "{method} {path} {fields:?} may be read by other sites: {head:?}");
    (status(&head.start).unwrap(), head)
}

fn is_change(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// All operations; those of a server name this one.
fn operations(evenkeel: &Evenkeel, server: &str) -> Vec<Operation> {
    let host = evenkeel.admin_address();
    let request = format!("GET /openapi.json HTTP/1.1\r\nhost: {host}\r\n{RIGHT}connection: close\r\n\r\n");
    let description = Client::connect(host).ask(request);
    assert_eq!(description.status, 200);
    let description: Value = serde_json::from_str(&description.text()).unwrap();
    let mut found = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        let path = path.replace("{pool}", "app").replace("{route}", "r").replace("{id}", server);
        assert!(!path.contains('{'), "this test does not know what {path} names");
        let is_method = |key: &&String| !matches!(key.as_str(), "summary" | "description" | "parameters");
        let methods = item.as_object().unwrap().keys().filter(is_method);
        found.extend(methods.map(|method| (method.to_ascii_uppercase(), path.clone())));
    }
    for (method, path) in [
        ("GET", "/".to_owned()),
        ("GET", "/live".to_owned()),
        ("GET", "/events".to_owned()),
        ("GET", "/openapi.json".to_owned()),
        ("POST", "/upgrade".to_owned()),
        ("POST", "/explain".to_owned()),
        ("PUT", "/routes/r/split".to_owned()),
        ("DELETE", format!("/pools/app/servers/{server}")),
    ] {
        assert!(found.contains(&(method.to_owned(), path.clone())), "{method} {path} is not in {found:?}");
    }
    assert!(found.len() >= 27, "{} operations: {found:?}", found.len());
    found
}

/// The operations that only look, also by `HEAD`.
fn looks(operations: &[Operation]) -> Vec<Operation> {
    let looks = operations.iter().filter(|(method, _)| !is_change(method));
    looks.flat_map(|(_, path)| ["GET", "HEAD"].map(|method| (method.to_owned(), path.clone()))).collect()
}

/// That nothing has been done: no change is in the log, and the same process serves the same configuration.
fn assert_unchanged(evenkeel: &mut Evenkeel) {
    assert!(evenkeel.is_running());
    for mark in ["operator: ", "upgrade", "reload", "purge"] {
        let lines = evenkeel.stderr.lines();
        let line = lines.iter().find(|line| line.contains(mark));
        assert_eq!(line, None, "{mark}");
    }
    assert_eq!(evenkeel.get("/").text(), "a");
}

#[test]
fn s21_each_operation_demands_the_token() {
    let origin = Origin::named("a");
    let mut evenkeel = start(true, &origin);
    let host = format!("host: {}\r\n", evenkeel.admin_address());
    let all = operations(&evenkeel, "a");
    for operation in all.iter().chain(&looks(&all)) {
        let is_open = OPEN.contains(&operation.1.as_str());
        for wrong in [
            "",
            "authorization: Bearer wrong\r\n",
            "authorization: Bearer \r\n",
            "authorization: Bearer correct horse\r\n",
            "authorization: Bearer correct horse battery2\r\n",
            "authorization: Basic correct horse battery\r\n",
            "cookie: token=correct horse battery\r\n",
        ] {
            let (status, head) = ask(&evenkeel, operation, &format!("{host}{wrong}"));
            assert_eq!(status, if is_open { 200 } else { 401 }, "{operation:?} {wrong:?}");
            assert_eq!(head.headers("www-authenticate").is_empty(), is_open, "{operation:?}: {head:?}");
        }
    }
    assert_unchanged(&mut evenkeel);
}

#[test]
fn s21_each_operation_refuses_a_foreign_host() {
    let origin = Origin::named("a");
    for token in [false, true] {
        let mut evenkeel = start(token, &origin);
        let port = evenkeel.admin_address().port();
        let all = operations(&evenkeel, "a");
        for operation in all.iter().chain(&looks(&all)) {
            for host in ["evil.test".to_owned(), format!("127.0.0.1.evil.test:{port}")] {
                let (status, _) = ask(&evenkeel, operation, &format!("host: {host}\r\n{RIGHT}"));
                assert_eq!(status, 421, "{operation:?} {host}");
            }
        }
        assert_unchanged(&mut evenkeel);
    }
}

#[test]
fn s21_each_change_refuses_a_page_of_another_site() {
    let origin = Origin::named("a");
    for token in [false, true] {
        let mut evenkeel = start(token, &origin);
        let address = evenkeel.admin_address();
        let mut changes = operations(&evenkeel, "a");
        changes.retain(|(method, _)| is_change(method));
        assert!(changes.len() >= 10, "{changes:?}");
        for operation in &changes {
            for page in [
                "origin: http://evil.test\r\n".to_owned(),
                "origin: null\r\n".to_owned(),
                "origin: http://127.0.0.1:1\r\n".to_owned(),
                format!("origin: http://{address}.evil.test\r\n"),
                format!("origin: http://{address}\r\norigin: http://evil.test\r\n"),
                "sec-fetch-site: cross-site\r\n".to_owned(),
                format!("origin: http://{address}\r\nsec-fetch-site: same-site\r\n"),
            ] {
                let (status, _) = ask(&evenkeel, operation, &format!("host: {address}\r\n{RIGHT}{page}"));
                assert_eq!(status, 403, "{operation:?} {page:?}");
            }
        }
        assert_unchanged(&mut evenkeel);
    }
}

#[test]
fn s21_no_answer_may_be_read_by_another_site() {
    let origin = Origin::named("a");
    let evenkeel = start(true, &origin);
    let address = evenkeel.admin_address();
    // Those that are let in are carried out: the server is one that the pool does not have.
    let all = operations(&evenkeel, "none");
    let (ours, theirs) = (format!("origin: http://{address}\r\n"), "origin: http://evil.test\r\n");
    for operation in &all {
        let (status, _) = ask(&evenkeel, operation, &format!("host: {address}\r\n{RIGHT}{ours}"));
        assert!(!matches!(status, 401 | 403 | 421), "{operation:?}: {status}");
    }
    for operation in looks(&all) {
        let (status, _) = ask(&evenkeel, &operation, &format!("host: {address}\r\n{RIGHT}{theirs}"));
        assert!(!matches!(status, 401 | 403 | 421), "{operation:?}: {status}");
    }
    // What a browser asks before it lets a page of another site send a change.
    for (method, path) in &all {
        let asks = format!(
            "{theirs}access-control-request-method: {method}\r\n\
             access-control-request-headers: authorization, content-type\r\n"
        );
        let preflight = ("OPTIONS".to_owned(), path.clone());
        let (status, _) = ask(&evenkeel, &preflight, &format!("host: {address}\r\n{asks}"));
        assert!((400..500).contains(&status), "{method} {path}: {status}");
    }
    // A file of the dashboard, which the description leaves out.
    let file = ("GET".to_owned(), "/assets/js/main.js".to_owned());
    assert_eq!(ask(&evenkeel, &file, &format!("host: {address}\r\n{theirs}")).0, 200);
    assert_eq!(ask(&evenkeel, &file, "host: evil.test\r\n").0, 421);
    assert_eq!(evenkeel.stderr.count(|line| line.contains("upgrade")), 0, "no process was replaced");
}
