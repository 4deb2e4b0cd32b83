//! Mixes of requests from a file, headers and bodies.

use super::run::{number, run, url};
use crate::support::{Folder, Origin, cli};

#[test]
fn a_mix_of_requests_is_sent_by_weight_with_its_values() {
    let (folder, origin) = (Folder::new(), Origin::named("a"));
    folder.write("photo.bin", "a whole photo");
    let file = folder.write(
        "mix.toml",
        r#"
[values]
user = ["anna", "ben"]
photo = { from = 1, to = 3 }

[[request]]
name = "feed"
weight = 8
path = "/feed?user={user}"
headers = { x-user = "{user}" }

[[request]]
name = "upload"
weight = 2
method = "POST"
path = "/photos/{photo}"
body_file = "photo.bin"
"#,
    );
    let arguments = ["--scenario", &file, "-n", "200", "-c", "2", "-t", "1", "-H", "x-all: 1"];
    let run = run(&[&[&*url(&origin, "/")], &arguments[..]].concat());
    assert_eq!(run.code, 0, "{}", run.json);
    let requests = origin.requests();
    let (feeds, uploads): (Vec<_>, Vec<_>) = requests.iter().partition(|request| request.method() == "GET");
    // 40 of 200 are expected; 8 and 80 are more than five standard deviations away.
    assert!((9..80).contains(&uploads.len()), "{} uploads", uploads.len());
    for feed in feeds {
        let user = feed.head.header("x-user").unwrap();
        assert_eq!(feed.target(), format!("/feed?user={user}"));
    }
    for upload in &uploads {
        assert!(["/photos/1", "/photos/2", "/photos/3"].contains(&upload.target()));
        assert_eq!(upload.body.bytes, b"a whole photo");
    }
    assert!(requests.iter().all(|request| request.head.header("x-all") == Some("1")));
    assert_eq!(run.json["requests"][0]["name"], "feed");
    assert_eq!(run.json["requests"][1]["name"], "upload");
    assert_eq!(number(&run.json, "/requests/1/requests"), uploads.len() as f64);
}

#[test]
fn a_fault_of_the_file_is_shown_with_its_line() {
    let folder = Folder::new();
    let file = folder.write("mix.toml", "[[request]]\npath = \"/{user}\"\n");
    let outcome = cli(&["bench", "http://127.0.0.1:1/", "--scenario", &file]);
    assert_eq!(outcome.code, Some(1));
    for expected in ["error: `{user}` has no values", "mix.toml:2:8", "path = \"/{user}\""] {
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
}

#[test]
fn method_headers_and_body_come_from_the_command_line() {
    let (folder, origin) = (Folder::new(), Origin::named("a"));
    let file = folder.write("body", "from a file");
    for (option, value, expected) in [("--body", "{text}", "{text}"), ("-D", &file, "from a file")] {
        let arguments =
            ["-m", "PUT", "-H", "Host: shop.example", "-H", "x-a: b: c", option, value, "-n", "1", "-c", "1"];
        assert_eq!(run(&[&[&*url(&origin, "/{x}")], &arguments[..]].concat()).code, 0);
        let request = origin.last();
        assert_eq!((request.method(), request.target()), ("PUT", "/{x}"));
        assert_eq!(request.head.header("host"), Some("shop.example"));
        assert_eq!(request.head.header("x-a"), Some("b: c"));
        assert_eq!(request.body.bytes, expected.as_bytes());
    }
}
