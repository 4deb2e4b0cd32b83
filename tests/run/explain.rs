//! `explain` says where a request would go, and why.

use serde_json::Value;

use crate::support::{Authority, Folder, cli};

const FILE: &str = "\
[listener.web]
bind = [\"127.0.0.1:0\"]

[[route]]
name = \"canary\"
host = \"shop.test\"
path = \"/api/*\"
headers = { x-canary = \"1\" }
pool = \"canary\"

[[route]]
name = \"api\"
host = \"shop.test\"
path = \"/api/*\"
pool = \"api\"

[[route]]
name = \"internal\"
path = \"/internal/*\"
client = [\"10.0.0.0/8\"]
pool = \"api\"

[[route]]
name = \"moved\"
path = \"/old\"
redirect = \"https://new.test/\"

[[route]]
name = \"assets\"
path = \"/assets/*\"
files = { root = \"/srv/none\", fallback = \"/index.html\", cache_control = { \"*.js\" = \"no-cache\" } }

[pool.api]
backends = [{ address = \"10.0.0.1:80\", name = \"api-one\" }]

[pool.canary]
backends = [{ address = \"10.0.0.2:80\", name = \"canary-one\" }]
";

fn explain(arguments: &[&str]) -> (Option<i32>, String) {
    let folder = Folder::new();
    let file = folder.write("evenkeel.toml", FILE);
    let mut all = vec!["explain", "-c", &file];
    all.extend(arguments);
    let outcome = cli(&all);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    (outcome.code, outcome.stdout)
}

#[test]
fn it_names_the_file() {
    let cases: [(&[&str], &[&str]); 4] = [
        (
            &["GET", "http://any.test/assets/a/app.js"],
            &["files     /srv/none", "file      /srv/none/a/app.js", "text/javascript", "control   no-cache"],
        ),
        (&["HEAD", "http://any.test/assets/"], &["/srv/none/index.html", "fallback  /index.html"]),
        (&["POST", "http://any.test/assets/app.js"], &["405", "a file can only be read"]),
        (&["GET", "http://any.test/assets/.env"], &["names that begin with a dot", "/srv/none/index.html"]),
    ];
    for (arguments, expected) in cases {
        let (code, text) = explain(arguments);
        assert_eq!(code, Some(0), "{text}");
        for part in expected {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
    }
}

#[test]
fn it_names_route_pool_and_server() {
    let cases: [(&[&str], &[&str]); 4] = [
        (&["GET", "http://shop.test/api/cart"], &["api", "api-one"]),
        (&["GET", "http://shop.test/api/cart", "-H", "x-canary: 1"], &["canary", "canary-one"]),
        (&["GET", "http://any.test/internal/x", "--client", "10.1.2.3"], &["internal", "api-one"]),
        (&["GET", "http://any.test/old"], &["moved", "https://new.test/"]),
    ];
    for (arguments, expected) in cases {
        let (code, text) = explain(arguments);
        assert_eq!(code, Some(0), "{arguments:?}");
        for part in expected {
            assert!(text.contains(part), "{arguments:?} lacks {part}:\n{text}");
        }
    }
    let (_, plain) = explain(&["GET", "http://shop.test/api/cart"]);
    assert!(!plain.contains("canary-one"), "{plain}");
}

#[test]
fn it_says_when_no_route_takes_the_request() {
    let (_, text) = explain(&["GET", "http://any.test/internal/x", "--client", "192.0.2.1"]);
    assert!(text.contains("404"), "{text}");
}

#[test]
fn it_shows_the_host_and_refuses_what_is_neither_a_url_nor_a_path() {
    let cases: [(&[&str], &str); 4] = [
        (&["GET", "http://SHOP.test:8080/api/cart"], "\nhost      shop.test\n"),
        (&["GET", "/api/cart", "-H", "host: shop.test"], "\nhost      shop.test\n"),
        (&["GET", "/api/cart?to=http://a.test/"], "\nhost      none: write a URL, or add -H 'host: NAME'\n"),
        (&["GET", "http://any.test"], "\npath      /\n"),
    ];
    for (arguments, row) in cases {
        let (code, text) = explain(arguments);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains(row), "{arguments:?}: no {row} in\n{text}");
    }
    for (target, why) in [
        ("foo", "error: `foo` is neither a URL nor a path: write `http://foo` or `/foo`"),
        (
            "shop.test/api",
            "error: `shop.test/api` is neither a URL nor a path: write `http://shop.test/api` or",
        ),
        ("", "error: `` is neither"),
        ("http:///api", "error: `http:///api` names no host"),
        ("ftp://shop.test/", "error: ftp:// is neither http:// nor https://"),
    ] {
        let outcome = cli(&["explain", "GET", target]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{target}");
        assert!(outcome.stderr.starts_with(why), "{target}: {}", outcome.stderr);
    }
}

#[test]
fn an_error_that_clients_would_get_is_an_answer() {
    let cases: [(&[&str], u16); 4] = [
        (&["GET", "http://any.test/none"], 404),
        (&["GET", "http://any.test/%2e%2e/a"], 400),
        (&["GET", "http://any.test/", "-H", "a b: c"], 400),
        (&["GET", "http://any.test/", "-H", "transfer-encoding: gzip, chunked"], 501),
    ];
    for (arguments, status) in cases {
        let (code, text) = explain(&[arguments, &["--json"]].concat());
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["status"], status, "{text}");
        assert!(!answer["reason"].as_str().unwrap().is_empty() && answer["listener"] == "web", "{text}");
    }
    let folder = Folder::new();
    let file = folder.write("evenkeel.toml", FILE);
    let outcome = cli(&["explain", "-c", &file, "GET", "/", "--listener", "none"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{}", outcome.stderr);
    let help = cli(&["explain", "--help"]).stdout;
    assert!(help.contains("0  there is an answer, also if clients would get an error such as 404"), "{help}");
}

#[test]
fn it_speaks_json() {
    let (code, text) = explain(&["--json", "GET", "http://shop.test/api/cart"]);
    assert_eq!(code, Some(0));
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}:\n{text}"));
    assert_eq!(value["route"].as_str().or(value["route"]["name"].as_str()), Some("api"), "{text}");
    assert_eq!(value["pool"].as_str().or(value["pool"]["name"].as_str()), Some("api"), "{text}");
    assert!(text.contains("api-one"), "{text}");
}

#[test]
fn a_route_says_what_it_retries() {
    let folder = Folder::new();
    let file = folder.write(
        "evenkeel.toml",
        "[listener.web]\nbind = 80\n[[route]]\npool = \"app\"\nretry = { on = [\"connect\", \"503\"], methods = \"GET\" }\n\
         hedge = { after = \"50ms\" }\n[pool.app]\nbackends = [3000]\n",
    );
    let outcome = cli(&["explain", "-c", &file, "GET", "http://test/"]);
    let line = |key: &str| outcome.stdout.lines().find(|line| line.starts_with(key)).map(str::to_owned);
    let retry = "retry     sent to at most 3 servers, on connect, 503; GET after it was sent; budget 20%";
    assert_eq!(line("retry").as_deref(), Some(retry), "{}", outcome.stdout);
    assert_eq!(line("hedge").as_deref(), Some("hedge     another server is asked after 50ms"));
}

#[test]
fn a_pool_says_what_limits_it() {
    let folder = Folder::new();
    let file = folder.write(
        "evenkeel.toml",
        "[listener.web]\nbind = 80\n[[route]]\npool = \"app\"\n[pool.app]\nbackends = [3000]\nqueue = { wait = \"2s\" }\n\
         breaker = { max_requests = 50, max_pending = 10, failures = \"30%\" }\nconcurrency = {}\n\
         server_breaker = { slow = \"50%\", slow_after = \"1s\" }\n",
    );
    let outcome = cli(&["explain", "-c", &file, "GET", "http://test/"]);
    let line = outcome.stdout.lines().find(|line| line.starts_with("breaker")).unwrap_or_default();
    let expected = "breaker   at most 50 requests in flight; open for 10s when 30% fail within 10s; \
                    between 10 and 1000 in flight, by latency; \
                    a server is left out for 10s when 50% take 1s within 10s; 10 may wait, 2s each";
    assert_eq!(line, expected, "{}", outcome.stdout);
}

#[test]
fn a_route_says_what_protects_it() {
    let folder = Folder::new();
    let file = folder.write(
        "evenkeel.toml",
        "[listener.web]\nbind = 80\n[redis]\nurl = \"redis://127.0.0.1\"\n\
         [[route]]\npool = \"app\"\npriority = \"high\"\ndeadline_header = \"grpc-timeout\"\n\
         limits = { headers = 50, request_body = \"1MiB\" }\nmirror = { pool = \"copy\", percent = 5, body = \"1KiB\" }\n\
         rate_limit = [{ rate = \"10/s\", dry_run = true }, { name = \"all\", rate = \"1/s\", shared = true }]\n\
         [pool.app]\nbackends = [3000]\n[pool.copy]\nbackends = [3001]\n",
    );
    let expected = [
        ("priority", "high"),
        ("sizes", "headers = 50, request_body = \"1MiB\""),
        (
            "limits",
            "client-ip 10/s, at once 10, a dry run that refuses nothing; all 1/s, at once 1, shared in Redis",
        ),
        ("deadline", "in grpc-timeout"),
        ("mirror", "copy 5%, bodies up to 1KiB"),
    ];
    let text = cli(&["explain", "-c", &file, "GET", "http://test/"]).stdout;
    let json: Value =
        serde_json::from_str(&cli(&["explain", "--json", "-c", &file, "GET", "http://test/"]).stdout)
            .unwrap();
    for (key, value) in expected {
        assert!(text.contains(&format!("{key:<10}{value}\n")), "{key}: {text}");
        assert_eq!(json[key], value);
    }
    let plain = explain(&["GET", "http://shop.test/api/cart"]).1;
    assert!(expected.iter().all(|(key, _)| !plain.contains(&format!("{key:<10}"))), "{plain}");
}

#[test]
fn a_host_that_no_certificate_is_for_is_misdirected() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let entry = authority.issue(&["b.test", "*.c.test"]).write(&folder, "b");
    let file = folder.write(
        "evenkeel.toml",
        &format!(
            "[listener.web]\nbind = 443\npool = \"app\"\ntls.certificates = [{entry}]\n[pool.app]\nbackends = [3000]\n"
        ),
    );
    for (url, host, status) in [
        ("https://b.test/x", "b.test", None),
        ("https://a.c.test/x", "b.test", None),
        ("https://zzz.test/x", "zzz.test", Some(421)),
        ("https://b.test/x", "zzz.test", Some(421)),
        // Nobody asks for an address by name (RFC 6066, 3).
        ("https://127.0.0.1:8443/x", "zzz.test", None),
    ] {
        let host = format!("host: {host}");
        let outcome = cli(&["explain", "-c", &file, "--json", "GET", url, "-H", &host]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let value: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(value["status"].as_u64(), status, "{url} {host}: {value}");
        assert_eq!(value["pool"].is_string(), status.is_none(), "{url} {host}: {value}");
    }
}

#[test]
fn of_many_routes_the_nearest_are_shown_and_the_others_counted() {
    let mut toml = String::from("[listener.web]\nbind = \"127.0.0.1:0\"\n");
    for number in 0..1_000 {
        toml.push_str(&format!(
            "[[route]]\nhost = \"h{number}.example\"\npath = \"/api/*\"\nrespond = {{}}\n"
        ));
    }
    toml.push_str("[[route]]\nhost = \"shop.example\"\npath = \"/cart/*\"\nrespond = {}\n");
    let file = Folder::new();
    let path = file.write("evenkeel.toml", &toml);
    let outcome = cli(&["explain", "-c", &path, "GET", "http://shop.example/basket"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.lines().count() < 40, "{}", outcome.stdout);
    let first = outcome.stdout.lines().find(|line| line.contains("refused")).unwrap();
    assert!(first.contains("shop.example/cart/*"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("and 981 more"), "{}", outcome.stdout);
}
