//! Rate limits that balancers share through Redis, and what holds while it does not answer.

use std::fs;
use std::time::Instant;

use crate::support::{Evenkeel, Folder, Origin, Redis, eventually, ms, pool};

fn toml(redis: &Redis, settings: &str, limit: &str, origin: &Origin) -> String {
    let route = format!("[[route]]\nname = \"all\"\npool = \"app\"\nrate_limit = {limit}\n");
    format!("{}{route}{}", redis.section(settings), pool(&[origin], ""))
}

fn start(redis: &Redis, limit: &str, origin: &Origin) -> Evenkeel {
    // Generous, for a test machine that is busy.
    let evenkeel = Evenkeel::start(&toml(redis, "timeout = \"2s\"", limit, origin));
    is_up(&evenkeel, 1.0);
    evenkeel
}

fn is_up(evenkeel: &Evenkeel, up: f64) {
    eventually(&format!("evenkeel_redis_up is {up}"), || evenkeel.metric("evenkeel_redis_up", &[]) == up);
}

fn statuses(evenkeel: &Evenkeel, count: usize) -> Vec<u16> {
    let mut client = evenkeel.client();
    (0..count).map(|_| client.get("/").status).collect()
}

#[test]
fn two_balancers_count_together() {
    let (redis, origin) = (Redis::start(), Origin::named("a"));
    let limit = r#"{ rate = "1/h", burst = 5, shared = true }"#;
    let (one, two) = (start(&redis, limit, &origin), start(&redis, limit, &origin));
    assert_eq!(statuses(&one, 3), [200; 3]);
    let response = two.get("/");
    assert_eq!(response.header("ratelimit-policy"), Some("\"client-ip\";q=5;w=18000"));
    assert!(response.header("ratelimit").unwrap().starts_with("\"client-ip\";r=1;t=3"), "{response:?}");
    assert_eq!(statuses(&two, 2), [200, 429]);
    let refused = one.get("/");
    let retry: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(refused.status == 429 && (3_500..=3_600).contains(&retry), "{refused:?}");
}

#[test]
fn a_token_comes_back_as_time_goes_by() {
    let (redis, origin) = (Redis::start(), Origin::named("a"));
    let evenkeel = start(&redis, r#"{ rate = "3/s", burst = 1, shared = true }"#, &origin);
    let begun = Instant::now();
    let mut passed = 0;
    let mut client = evenkeel.client();
    eventually("five requests have passed", || {
        passed += u32::from(client.get("/").status == 200);
        passed == 5
    });
    assert!(begun.elapsed() > ms(1_300), "four intervals of a third of a second");
}

#[test]
fn a_request_refused_by_one_limit_uses_up_no_other() {
    let (redis, origin) = (Redis::start(), Origin::named("a"));
    let limits = r#"[{ per = "header:x-key", rate = "1/h", burst = 2, shared = true },
        { per = "route", rate = "1/h", burst = 3, shared = true }, { per = "host", rate = "1/h", burst = 4 }]"#;
    let evenkeel = start(&redis, &limits.replace('\n', " "), &origin);
    let mut client = evenkeel.client();
    let mut with = |key: &str| client.get_with("/", &format!("x-key: {key}\r\n"));
    assert_eq!([with("a").status, with("a").status, with("a").status], [200, 200, 429]);
    let refused = with("a");
    assert_eq!(refused.status, 429);
    let stands = refused.header("ratelimit").unwrap();
    assert!(stands.contains("\"host\";r=2;"), "what is told is what remains: {stands}");
    let last = with("b");
    assert_eq!(last.status, 200, "of the three one was left");
    let stands = last.header("ratelimit").unwrap();
    assert!(stands.contains("\"host\";r=1;"), "what Redis refused was put back here: {stands}");
    assert_eq!(with("b").status, 429);
}

#[test]
fn without_redis_each_balancer_counts_for_itself() {
    let (mut redis, origin) = (Redis::start(), Origin::named("a"));
    let evenkeel = start(&redis, r#"{ rate = "1/h", burst = 3, shared = true }"#, &origin);
    assert_eq!(statuses(&evenkeel, 2), [200, 200]);
    redis.stop();
    assert_eq!(statuses(&evenkeel, 4), [200, 200, 200, 429], "here nothing was used up yet");
    is_up(&evenkeel, 0.0);
    assert!(evenkeel.metric("evenkeel_redis_errors_total", &[]) >= 1.0);
    assert!(evenkeel.metric("evenkeel_rate_limited_total", &["outcome=\"redis_away\""]) >= 4.0);
    redis.resume();
    is_up(&evenkeel, 1.0);
    assert_eq!(statuses(&evenkeel, 4), [200, 200, 200, 429], "this Redis has forgotten everything");
    let told = |what: &str| evenkeel.stderr.count(|line| line.contains(what));
    eventually("its end is told", || told("Redis answers again") == 1);
    assert_eq!(told("Redis does not answer"), 1);
}

#[test]
fn a_limit_may_let_everything_pass_or_nothing_while_redis_is_away() {
    let (mut redis, origin) = (Redis::start(), Origin::named("a"));
    redis.stop();
    for (word, status) in [("allow", 200), ("refuse", 503)] {
        let limit = format!("{{ rate = \"1/h\", shared = true, when_redis_is_away = \"{word}\" }}");
        let evenkeel = Evenkeel::start(&toml(&redis, "", &limit, &origin));
        eventually("it is known that there is none", || {
            evenkeel.stderr.count(|line| line.contains("Redis does not answer")) == 1
        });
        assert_eq!(statuses(&evenkeel, 4), [status; 4], "{word}");
    }
}

#[test]
fn no_request_waits_for_a_redis_that_hangs() {
    let (redis, origin) = (Redis::start(), Origin::named("a"));
    let limit = r#"{ rate = "1/h", burst = 1000, shared = true }"#;
    let evenkeel = Evenkeel::start(&toml(&redis, "timeout = \"300ms\"", limit, &origin));
    is_up(&evenkeel, 1.0);
    redis.hang();
    let begun = Instant::now();
    assert_eq!(statuses(&evenkeel, 100), [200; 100]);
    let took = begun.elapsed();
    assert!(took < ms(300 * 20), "one waits, and the others do not: {took:?}");
    is_up(&evenkeel, 0.0);
    redis.go_on();
    is_up(&evenkeel, 1.0);
    assert_eq!(statuses(&evenkeel, 1), [200]);
}

#[test]
fn redis_may_ask_for_a_password() {
    let (redis, origin) = (Redis::with_password("open sesame"), Origin::named("a"));
    let folder = Folder::new();
    let file = folder.write("redis-password", "open sesame\n");
    let settings = format!("timeout = \"2s\"\npassword_file = \"{file}\"\nprefix = \"shop:\"");
    let limit = r#"{ rate = "1/h", burst = 2, shared = true }"#;
    let evenkeel = Evenkeel::start_in(folder, &toml(&redis, &settings, limit, &origin));
    is_up(&evenkeel, 1.0);
    assert_eq!(statuses(&evenkeel, 3), [200, 200, 429]);
}

#[test]
fn a_password_that_is_mended_ends_the_outage() {
    let (redis, origin) = (Redis::with_password("open sesame"), Origin::named("a"));
    let folder = Folder::new();
    let file = folder.write("redis-password", "guessed\n");
    let settings = format!("timeout = \"2s\"\npassword_file = \"{file}\"");
    let toml = toml(&redis, &settings, r#"{ rate = "1/h", shared = true }"#, &origin);
    let evenkeel = Evenkeel::start_in(folder, &toml);
    let told = |what: &str| evenkeel.stderr.count(|line| line.contains(what));
    eventually("it is told", || told("Redis does not answer") == 1);
    fs::write(&file, "open sesame\n").unwrap();
    assert_eq!(evenkeel.reload(&toml).status, 200);
    is_up(&evenkeel, 1.0);
    eventually("its end is told as well", || told("Redis answers again") == 1);
    assert_eq!(told("Redis does not answer"), 1);
}

#[test]
fn without_redis_nothing_is_said_of_it() {
    let (mut redis, origin) = (Redis::start(), Origin::named("a"));
    let evenkeel = start(&redis, r#"{ rate = "1/h", shared = true }"#, &origin);
    let is_told =
        || evenkeel.admin("GET", "/metrics", "").text().lines().any(|l| l.starts_with("evenkeel_redis_up "));
    assert!(is_told());
    redis.stop();
    assert_eq!(statuses(&evenkeel, 1), [200]);
    is_up(&evenkeel, 0.0);
    assert_eq!(evenkeel.reload(&pool(&[&origin], "")).status, 200);
    eventually("there is nothing to be up or down", || !is_told());
}

#[test]
fn a_shared_limit_that_was_loosened_lets_everybody_in_at_once() {
    let (redis, origin) = (Redis::start(), Origin::named("a"));
    let evenkeel = start(&redis, r#"{ rate = "1/h", burst = 3, shared = true }"#, &origin);
    assert_eq!(statuses(&evenkeel, 4), [200, 200, 200, 429]);
    let loose = r#"{ rate = "10/s", burst = 2, shared = true }"#;
    assert_eq!(evenkeel.reload(&toml(&redis, "timeout = \"2s\"", loose, &origin)).status, 200);
    eventually("what was used up under the old rate is forgotten", || evenkeel.get("/").status == 200);
}
