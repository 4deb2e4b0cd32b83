//! The mix, the values, and what is wrong with a file.

use http_body_util::BodyExt;

use super::read::parsed;
use super::*;

const MIX: &str = r#"
[values]
user = ["anna", "ben"]
photo = { from = 5, to = 9 }

[[request]]
name = "feed"
weight = 3
path = "/feed?user={user}&again={user}"
headers = { x-user = "{user}" }

[[request]]
name = "like"
weight = 1
method = "POST"
path = "/photos/{photo}/like"
body = '{"by": "{user}", "photo": {photo}}'
"#;

fn target() -> Target {
    Target::parse("http://127.0.0.1:8080").unwrap()
}

#[test]
fn requests_are_chosen_by_weight() {
    let scenario = parsed(MIX).unwrap();
    let chosen: Vec<usize> = (0..4).map(|at| scenario.choose(|below| at % below)).collect();
    assert_eq!(chosen, [0, 0, 0, 1]);
    assert_eq!(
        scenario.requests().iter().map(|request| &*request.name).collect::<Vec<_>>(),
        ["feed", "like"]
    );
}

#[test]
fn a_value_is_the_same_everywhere_in_a_request() {
    let scenario = parsed(MIX).unwrap();
    for (at, user) in [(0, "anna"), (1, "ben")] {
        let message = scenario.message(0, &target(), false, &mut |_| at);
        assert_eq!(message.uri(), &*format!("/feed?user={user}&again={user}"));
        assert_eq!(message.headers()["x-user"], user);
        assert_eq!(message.headers()["host"], "127.0.0.1:8080");
    }
}

#[tokio::test]
async fn ranges_have_both_ends_and_braces_of_json_stay() {
    let scenario = parsed(MIX).unwrap();
    for (at, photo) in [(0_u64, 5), (4, 9)] {
        let message = scenario.message(1, &target(), true, &mut |below| at.min(below - 1));
        assert_eq!(message.uri(), &*format!("http://127.0.0.1:8080/photos/{photo}/like"));
        assert_eq!(message.method(), Method::POST);
        let body = message.into_body().collect().await.unwrap().to_bytes();
        let user = if at == 0 { "anna" } else { "ben" };
        assert_eq!(body, format!("{{\"by\": \"{user}\", \"photo\": {photo}}}"));
    }
}

#[test]
fn headers_of_the_command_line_do_not_replace_those_of_the_file() {
    let own = [
        (HeaderName::from_static("x-user"), HeaderValue::from_static("all")),
        (HeaderName::from_static("host"), HeaderValue::from_static("shop.example")),
    ];
    let scenario = parsed(MIX).unwrap().with_headers(&own).unwrap();
    let of = |request, http2| scenario.message(request, &target(), http2, &mut |_| 0);
    assert_eq!(of(0, false).headers()["x-user"], "anna");
    assert_eq!(of(1, false).headers()["x-user"], "all");
    assert_eq!(of(1, false).headers()["host"], "shop.example");
    assert_eq!(of(1, true).uri().authority().unwrap().as_str(), "shop.example");
    assert!(!of(1, true).headers().contains_key("host"));
}

#[test]
fn faults_are_shown_with_their_line() {
    let cases = [
        ("", "the scenario has no requests"),
        ("[[request]]\npath = 1\n", "invalid type: integer"),
        ("[[request]]\nname = \"a\"\n", "missing field `path`"),
        ("[[request]]\npath = \"/\"\nwieght = 2\n", "unknown field `wieght`"),
        ("[[request]]\npath = \"/\"\nweight = 0\n", "the weight 0 is not allowed"),
        ("[[request]]\npath = \"x\"\n", "`x` is not allowed"),
        ("[[request]]\npath = \"/a b\"\n", "`/a b` is not allowed"),
        ("[[request]]\npath = \"/{user}\"\n", "`{user}` has no values"),
        ("[values]\nuser = [\"a b\"]\n[[request]]\npath = \"/{user}\"\n", "`/a b` is not allowed"),
        ("[values]\nuser = []\n[[request]]\npath = \"/\"\n", "the values `user` are an empty list"),
        (
            "[values]\nn = { from = 2, to = 1 }\n[[request]]\npath = \"/\"\n",
            "the values `n` end before they begin",
        ),
        ("[values]\nn = 5\n[[request]]\npath = \"/\"\n", "the values `n` are neither a list nor a range"),
        ("[[request]]\npath = \"/\"\nmethod = \"G T\"\n", "`G T` is no method"),
        ("[[request]]\npath = \"/\"\nheaders = { \"a b\" = \"c\" }\n", "`a b` is no header name"),
        ("[[request]]\npath = \"/\"\nheaders = { a = \"b\\nc\" }\n", "`b\\nc` is not allowed"),
        ("[[request]]\npath = \"/\"\nbody = \"\"\nbody_file = \"x\"\n", "both `body` and `body_file`"),
        ("[[request]]\npath = \"/\"\nbody_file = \"no such\"\n", "cannot read the body `no such`"),
        ("[[request]]\npath = \"/\"\n[[request]]\npath = \"/\"\n", "two requests have the name `/`"),
    ];
    for (text, expected) in cases {
        let shown = parsed(text).unwrap_err();
        assert!(shown.starts_with("error: ") && shown.contains(expected), "{text}\n{shown}");
        assert!(shown.contains("scenario.toml:"), "{text}\n{shown}");
    }
    let shown = parsed("[[request]]\npath = \"/\"\nweight = 0\n").unwrap_err();
    assert!(shown.contains("scenario.toml:3:10") && shown.contains("write a number from 1"), "{shown}");
}
