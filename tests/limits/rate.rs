//! Rate limits: who is refused, what they are told, and whom it does not touch.

use crate::support::{Client, Evenkeel, Folder, Origin, Response, answer, cli, eventually, ok, pool};

/// A route for all that has these limits and leads to the pool `app`.
fn limited(limits: &str) -> String {
    format!("[[route]]\nname = \"all\"\npool = \"app\"\nrate_limit = {limits}\n")
}

/// The statuses of so many requests from one address, over one connection each.
fn statuses(evenkeel: &Evenkeel, source: [u8; 4], count: usize) -> Vec<u16> {
    (0..count).map(|_| Client::from(source, evenkeel.address()).get("/").status).collect()
}

#[test]
fn a_client_beyond_its_rate_gets_429_and_others_do_not() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&(limited(r#"{ rate = "10/h", burst = 3 }"#) + &pool(&[&origin], "")));
    assert_eq!(statuses(&evenkeel, [127, 0, 0, 1], 5), [200, 200, 200, 429, 429]);
    assert_eq!(statuses(&evenkeel, [127, 0, 0, 2], 4), [200, 200, 200, 429]);
    assert_eq!(origin.count(), 6, "what is refused reaches no server");
    let labels = ["route=\"all\"", "limit=\"client-ip\"", "outcome=\"refused\""];
    assert_eq!(evenkeel.metric("evenkeel_rate_limited_total", &labels), 3.0);
    assert_eq!(evenkeel.metric("evenkeel_requests_refused_total", &["reason=\"rate_limited\""]), 3.0);
    let record = evenkeel.record(|record| record["status"] == 429);
    assert_eq!(
        (&record["ended"], &record["reason"]),
        (&"refused".into(), &"rate limit client-ip reached".into())
    );
}

#[test]
fn a_client_is_admitted_again_after_the_stated_wait() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&(limited(r#"{ rate = "2/s", burst = 1 }"#) + &pool(&[&origin], "")));
    let mut client = evenkeel.client();
    assert_eq!(client.get("/").status, 200);
    eventually("the next one passes", || client.get("/").status == 200);
}

/// The seconds after which `RateLimit` promises one more request under the limit `name`.
fn until_more(response: &Response, name: &str) -> u64 {
    let stands = response.header("ratelimit").unwrap();
    let item = stands.split(", ").find(|item| item.starts_with(&format!("\"{name}\";"))).unwrap();
    item.split_once(";t=").unwrap().1.parse().unwrap()
}

#[test]
fn every_response_of_a_limited_route_tells_how_the_limit_stands() {
    let origin = Origin::named("a");
    let limits = r#"[{ rate = "10/m", burst = 2 }, { per = "route", rate = "1/h", burst = 9, name = "everybody" },
        { per = "host", rate = "1/s", dry_run = true }]"#;
    let toml = limited(&limits.replace('\n', " ")) + &pool(&[&origin], "");
    let evenkeel = Evenkeel::start(&toml);
    let mut client = evenkeel.client();
    let first = client.get("/");
    let policy = "\"client-ip\";q=2;w=12, \"everybody\";q=9;w=32400";
    assert_eq!(first.header("ratelimit-policy"), Some(policy));
    assert_eq!(first.header("ratelimit"), Some("\"client-ip\";r=1;t=6, \"everybody\";r=8;t=3600"));
    assert_eq!(first.header("retry-after"), None);
    let second = client.get("/");
    assert!((1..=6).contains(&until_more(&second, "client-ip")), "{second:?}");
    assert!((3_500..=3_600).contains(&until_more(&second, "everybody")), "{second:?}");
    let refused = client.get("/");
    assert_eq!((refused.status, refused.header("ratelimit-policy")), (429, Some(policy)));
    let stands = refused.header("ratelimit").unwrap();
    assert!(
        stands.starts_with("\"client-ip\";r=0;t=") && stands.contains("\"everybody\";r=7;t="),
        "{stands}"
    );
    let retry: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=6).contains(&retry) && retry == until_more(&refused, "client-ip"), "{refused:?}");
    let text = refused.text();
    assert!(text.starts_with("429 Too Many Requests: rate limit client-ip reached\n"), "{text}");
    assert_eq!(client.get("/").status, 429, "the connection goes on");
}

#[test]
fn answers_of_our_own_are_limited_as_well() {
    let toml = "[[route]]\npath = \"/answer\"\nrespond = { status = 200, body = \"ok\" }\n\
                rate_limit = { rate = \"1/h\" }\n[[route]]\npath = \"/away\"\nredirect = \"/\"\n\
                rate_limit = { rate = \"1/h\" }\n";
    let evenkeel = Evenkeel::start(toml);
    for (path, first) in [("/answer", 200), ("/away", 302)] {
        let response = evenkeel.get(path);
        assert_eq!((response.status, response.header("ratelimit").is_some()), (first, true));
        assert_eq!(evenkeel.get(path).status, 429);
    }
}

#[test]
fn requests_are_counted_by_what_they_carry() {
    let origin = Origin::named("a");
    let limits = r#"{ per = ["header:x-key", "cookie:user"], rate = "1/h" }"#;
    let evenkeel = Evenkeel::start(&(limited(limits) + &pool(&[&origin], "")));
    let mut client = evenkeel.client();
    for fields in
        ["", "x-key: a\r\n", "x-key: b\r\n", "x-key: a\r\ncookie: z=1; user=u\r\n", "cookie: user=u\r\n"]
    {
        let seen = [client.get_with("/", fields).status, client.get_with("/", fields).status];
        assert_eq!(seen, [200, 429], "{fields:?}");
    }
}

#[test]
fn whom_a_trusted_proxy_names_is_the_client() {
    let origin = Origin::named("a");
    let listener = "[listener.web]\nbind = \"127.0.0.1:0\"\ntrusted_proxies = \"127.0.0.1\"\n";
    let toml = format!("{listener}{}{}", limited(r#"{ rate = "1/h" }"#), pool(&[&origin], ""));
    let evenkeel = Evenkeel::start(&toml);
    let mut client = evenkeel.client();
    let mut from = |who: &str| client.get_with("/", &format!("x-forwarded-for: {who}\r\n")).status;
    assert_eq!([from("192.0.2.1"), from("192.0.2.1"), from("192.0.2.2")], [200, 429, 200]);
    assert_eq!([from("2001:db8::1"), from("2001:db8::2"), from("2001:db8:0:1::1")], [200, 429, 200]);
    assert_eq!([from("192.0.2.1:4711"), from("192.0.2.3:4711"), from("192.0.2.3:4712")], [429, 200, 429]);
    assert_eq!([from("[2001:db8::9]:80"), from("[2001:db8:0:2::1]"), from("127.0.0.1:80")], [429, 200, 200]);
}

#[test]
fn a_dry_run_lets_everything_pass_and_says_so() {
    let origin = Origin::named("a");
    let limits = r#"{ rate = "1/h", dry_run = true, name = "trial" }"#;
    let evenkeel = Evenkeel::start(&(limited(limits) + &pool(&[&origin], "")));
    let responses: Vec<_> = (0..3).map(|_| evenkeel.get("/")).collect();
    assert!(responses.iter().all(|it| it.status == 200 && it.header("ratelimit").is_none()));
    let would = ["limit=\"trial\"", "outcome=\"would_refuse\""];
    assert_eq!(evenkeel.metric("evenkeel_rate_limited_total", &would), 2.0);
    let record = evenkeel.record(|record| !record["reason"].is_null());
    assert_eq!(
        (&record["status"], &record["reason"]),
        (&200.into(), &"rate limit trial would refuse".into())
    );
}

#[test]
fn a_reload_that_leaves_a_limit_alone_forgets_no_client() {
    let origin = Origin::named("a");
    let toml = limited(r#"{ rate = "1/h", burst = 2 }"#) + &pool(&[&origin], "");
    let evenkeel = Evenkeel::start(&toml);
    assert_eq!(statuses(&evenkeel, [127, 0, 0, 1], 3), [200, 200, 429]);
    assert_eq!(evenkeel.reload(&(toml.clone() + "keepalive = 7\n")).status, 200);
    assert_eq!(evenkeel.get("/").status, 429);
    assert_eq!(evenkeel.reload(&toml.replace("burst = 2", "burst = 3")).status, 200);
    eventually("the new limit holds", || evenkeel.get("/").status == 200);
}

#[test]
fn all_workers_count_together() {
    let origin = Origin::named("a");
    let toml = format!(
        "[server]\nworkers = 4\n{}{}",
        limited(r#"{ rate = "1/h", burst = 10 }"#),
        pool(&[&origin], "")
    );
    let evenkeel = Evenkeel::start(&toml);
    let mut clients: Vec<Client> = (0..8).map(|_| evenkeel.client()).collect();
    let seen: Vec<u16> =
        (0..5).flat_map(|_| clients.iter_mut().map(|c| c.get("/").status).collect::<Vec<_>>()).collect();
    assert_eq!(seen.iter().filter(|status| **status == 200).count(), 10, "{seen:?}");
}

#[test]
fn a_flood_of_clients_does_not_eat_memory() {
    let origin = Origin::answering(|_| ok("a"));
    let limits = r#"{ per = "header:x-key", rate = "1/h", keys_max = 1024 }"#;
    let evenkeel = Evenkeel::start(&(limited(limits) + &pool(&[&origin], "")));
    let mut client = evenkeel.client();
    for key in 0..3_000 {
        assert_eq!(client.get_with("/", &format!("x-key: {key}\r\n")).status, 200);
    }
    assert!(evenkeel.metric("evenkeel_rate_limited_total", &["outcome=\"forgot\""]) > 1_500.0);
    assert!(evenkeel.allocated() < 200 << 20);
}

#[test]
fn a_small_table_remembers_no_more_than_its_limit() {
    let origin = Origin::named("a");
    let limits = r#"{ per = "header:x-key", rate = "1/h", keys_max = 64 }"#;
    let evenkeel = Evenkeel::start(&(limited(limits) + &pool(&[&origin], "")));
    let mut client = evenkeel.client();
    for key in 0..200 {
        assert_eq!(client.get_with("/", &format!("x-key: {key}\r\n")).status, 200);
    }
    assert!(evenkeel.metric("evenkeel_rate_limited_total", &["outcome=\"forgot\""]) >= 136.0);
}

#[test]
fn errors_of_servers_carry_the_limit_as_well_and_count() {
    let origin = Origin::answering(|_| answer(500, "", "no"));
    let evenkeel = Evenkeel::start(&(limited(r#"{ rate = "1/h", burst = 2 }"#) + &pool(&[&origin], "")));
    let response = evenkeel.get("/");
    assert_eq!((response.status, response.header("ratelimit")), (500, Some("\"client-ip\";r=1;t=3600")));
    origin.stop();
    assert_eq!(evenkeel.get("/").status, 502);
    assert_eq!(evenkeel.get("/").status, 429);
}

#[test]
fn contradictions_are_found_before_they_take_effect() {
    let check = |toml: &str, expected: &str| {
        let folder = Folder::new();
        let outcome =
            cli(&["check", "-c", &folder.write("bad.toml", &format!("[listener.web]\nbind = 0\n{toml}"))]);
        assert_eq!(outcome.code, Some(1), "{toml}");
        let said = outcome.stdout + &outcome.stderr;
        assert!(said.contains(expected), "{said}");
    };
    let route = |more: &str| format!("[[route]]\nrespond = {{ status = 200 }}\n{more}\n");
    check(&route(r#"rate_limit = { rate = "1/s", shared = true }"#), "needs a Redis");
    check(&route(r#"limits = { request_head = "64KiB" }"#), "above that of `[limits]`");
    check(&route(r#"rate_limit = { rate = "fast" }"#), "is not a rate");
}

#[test]
fn a_dry_run_does_not_hide_why_a_request_is_refused() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npool = \"app\"\nrate_limit = [{{ name = \"trial\", rate = \"1/h\", dry_run = true }}, \
         {{ name = \"real\", rate = \"1/h\", burst = 2 }}]\n{}",
        pool(&[&origin], "")
    ));
    assert_eq!([(); 3].map(|()| evenkeel.get("/").status), [200, 200, 429]);
    let reason = evenkeel.record(|record| record["status"] == 429)["reason"].clone();
    assert_eq!(reason, "rate limit real reached");
}

#[test]
fn a_request_that_a_limit_refuses_has_come_to_no_pool_whatever_its_body() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&(limited(r#"{ rate = "1/h", burst = 1 }"#) + &pool(&[&origin], "")));
    let mut client = evenkeel.client();
    assert_eq!(client.get("/first").status, 200);
    assert_eq!(client.get("/plain").status, 429);
    let chunked =
        "POST /chunked HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    assert_eq!(client.ask(chunked).status, 429);
    for target in ["/plain", "/chunked"] {
        let record = evenkeel.record(|record| record["target"] == target);
        assert!(record["route"] == "all" && record["pool"].is_null(), "{record}");
    }
}
