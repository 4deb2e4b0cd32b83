//! The dashboard: who gets it, what it may do, and that it is whole.

use crate::fixture::{Answer, Api};

fn page(api: &Api) -> Answer {
    api.ask("GET / HTTP/1.1\nhost: localhost\naccept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "")
}

#[test]
fn a_browser_gets_the_dashboard_and_a_program_the_index() {
    let api = Api::start();
    let answer = page(&api);
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(answer.field("vary"), Some("accept"));
    assert!(answer.body.contains("<main"), "{}", answer.body);
    for accept in ["*/*", "application/json", "text/plain"] {
        let answer = api.ask(&format!("GET / HTTP/1.1\nhost: localhost\naccept: {accept}"), "");
        assert!(answer.body.contains("/healthz"), "{accept}: {}", answer.body);
    }
}

#[test]
fn the_files_need_no_token_and_the_api_does() {
    let api = Api::with_token("secret");
    assert_eq!(page(&api).status, 200);
    assert_eq!(api.get("/assets/js/main.js").status, 200);
    for path in
        ["/", "/status", "/assets/", "/assets/nothing.js", "/assets/../status", "/assets/%2e%2e/status"]
    {
        assert_eq!(api.get(path).status, 401, "{path}");
    }
    // The address alone opens nothing to a page of another name that points at it.
    let rebound = api.ask("GET / HTTP/1.1\nhost: evil.test\naccept: text/html", "");
    assert_eq!(rebound.status, 421);
}

#[test]
fn a_page_may_use_its_own_origin_and_nothing_else() {
    let api = Api::start();
    for answer in [page(&api), api.get("/assets/js/main.js"), api.get("/assets/style/theme.css")] {
        let policy = answer.field("content-security-policy").unwrap();
        for rule in
            ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.field("x-frame-options"), Some("deny"));
        assert_eq!(answer.field("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn a_copy_is_used_again_until_the_file_changes() {
    let api = Api::start();
    let first = api.get("/assets/js/main.js");
    assert_eq!(first.field("cache-control"), Some("no-cache"));
    let tag = first.field("etag").unwrap();
    let ask = |tag: &str| {
        api.ask(&format!("GET /assets/js/main.js HTTP/1.1\nhost: localhost\nif-none-match: {tag}"), "")
    };
    let same = ask(tag);
    assert_eq!((same.status, same.body.as_str(), same.field("etag")), (304, "", Some(tag)));
    assert_eq!(ask(&format!("\"other\", W/\"more\", {tag}")).status, 304);
    assert_eq!(ask("\"other\"").status, 200);
}

#[test]
fn each_file_that_a_file_names_is_there() {
    let api = Api::start();
    let mut wanted = names(&page(&api).body, "\"assets/", "");
    assert!(wanted.len() > 5, "{wanted:?}");
    let (mut seen, mut scripts) = (Vec::new(), 0);
    while let Some(path) = wanted.pop() {
        if seen.contains(&path) {
            continue;
        }
        let answer = api.get(&format!("/assets/{path}"));
        assert_eq!(answer.status, 200, "{path}");
        if path.starts_with("js/") {
            scripts += 1;
            assert_eq!(answer.field("content-type"), Some("text/javascript; charset=utf-8"), "{path}");
            let (directory, _) = path.rsplit_once('/').unwrap();
            wanted.extend(names(&answer.body, "from \"./", &format!("{directory}/")));
            wanted.extend(names(&answer.body, "from \"../", "js/"));
        }
        seen.push(path);
    }
    assert!(scripts > 20, "{seen:?}");
}

/// What follows `before` up to the next quote, below `directory`.
fn names(text: &str, before: &str, directory: &str) -> Vec<String> {
    let name = |rest: &str| format!("{directory}{}", rest.split('"').next().unwrap_or_default());
    text.split(before).skip(1).map(name).collect()
}
