//! S16: users never see one another's content, unless the server has said that it is for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::cache::{answers, config, fresh, is_hit, start, wait_until_kept};
use crate::support::{Authority, Client, Evenkeel, Folder, Gate, Origin, TlsClient, answer, pool};

/// How a server that knows its users marks what it sends them, and whether that says that all may see it.
const KINDS: [(&str, bool); 17] = [
    ("cache-control: private\r\n", false),
    ("cache-control: private, max-age=60\r\n", false),
    ("cache-control: PRIVATE,max-age=60\r\n", false),
    ("cache-control: max-age=60\r\ncache-control: private\r\n", false),
    ("cache-control: max-age=60, no-store\r\n", false),
    ("cache-control: no-store=\"x\", max-age=60\r\n", false),
    ("cache-control: max-age=60\r\nset-cookie: s=1\r\n", false),
    ("cache-control: max-age=60\r\nvary: *\r\n", false),
    ("cache-control: max-age=60\r\nvary: cookie, authorization\r\n", false),
    ("cache-control: no-cache\r\n", false),
    ("cache-control: no-cache\r\netag: \"TAG\"\r\n", false),
    ("cache-control: max-age=0\r\netag: \"TAG\"\r\n", false),
    ("cache-control: max-age=0, must-revalidate\r\netag: \"TAG\"\r\n", false),
    ("expires: 0\r\netag: \"TAG\"\r\n", false),
    ("etag: \"TAG\"\r\n", false),
    ("", false),
    ("cache-control: public, max-age=60\r\n", true),
];

/// Names the user in each response, as `KINDS` at the place in the path says.
fn naming() -> Origin {
    Origin::start(|request, wire| {
        let cookie = request.header("cookie").and_then(|cookie| cookie.strip_prefix("user="));
        let basic = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let user = cookie.or(basic).unwrap_or("none").to_owned();
        let kind =
            request.target().trim_start_matches('/').split('/').next().unwrap().parse::<usize>().unwrap();
        let fields = KINDS[kind].0.replace("TAG", &user);
        let tag = format!("\"{user}\"");
        if fields.contains("etag") && request.header("if-none-match") == Some(tag.as_str()) {
            let fields = fields.replace("set-cookie", "x-cookie");
            wire.send(format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n"));
        } else {
            wire.send(answer(200, &fields, &format!("for {user}")));
        }
    })
}

fn next(seed: &mut u64) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as usize
}

/// One user asks at random. Every response names this user, unless it was marked as public.
fn walk(client: &mut Client, user: &str, mut seed: u64, count: usize) {
    let first = seed;
    for _ in 0..count {
        let kind = next(&mut seed) % KINDS.len();
        let page = next(&mut seed) % 2;
        let by_token = next(&mut seed).is_multiple_of(2);
        let name =
            if by_token { format!("authorization: Bearer {user}") } else { format!("cookie: user={user}") };
        let extra = ["", "", "", "cache-control: no-cache\r\n", "cache-control: max-stale=60\r\n"]
            [next(&mut seed) % 5];
        let response = client.get_with(&format!("/{kind}/{page}"), &format!("{name}\r\n{extra}"));
        let (fields, public) = KINDS[kind];
        assert_eq!(response.status, 200);
        assert!(
            public || response.text() == format!("for {user}"),
            "{user} sees {:?} of {fields:?} (seed {first}): {:?}",
            response.text(),
            response.headers("cache-status")
        );
    }
}

#[test]
fn s16_a_user_sees_the_content_of_no_other() {
    let origin = naming();
    let evenkeel = Evenkeel::start(&format!("[server]\nworkers = 4\n{}", config(&[&origin], "true")));
    let walks: Vec<_> = (0..8u64)
        .map(|at| {
            let mut client = evenkeel.client();
            thread::spawn(move || walk(&mut client, &format!("u{}", at % 4), at + 1, 300))
        })
        .collect();
    walks.into_iter().for_each(|walk| walk.join().unwrap());
}

#[test]
fn s16_users_who_ask_at_the_same_time_get_their_own() {
    for (kind, (fields, public)) in KINDS.iter().enumerate().filter(|(_, (_, public))| !public) {
        let (gate, served) = (Gate::default(), naming_behind());
        let (origin, theirs) = served;
        let evenkeel = start(&origin, "true");
        let mut clients = Vec::new();
        for at in 0..12 {
            let mut client = evenkeel.client();
            client.send(format!("GET /{kind}/x HTTP/1.1\r\nhost: test\r\ncookie: user=u{at}\r\n\r\n"));
            clients.push(client);
        }
        crate::support::cache::wait_for_requests(&evenkeel, 12);
        theirs.open();
        for (at, response) in answers(clients).into_iter().enumerate() {
            assert_eq!(response.text(), format!("for u{at}"), "{fields:?} {public}");
        }
        drop(gate);
    }
}

/// The same as [`naming`], but the first answer waits for the gate.
fn naming_behind() -> (Origin, Gate) {
    let gate = Gate::default();
    let (theirs, asked) = (gate.clone(), AtomicUsize::new(0));
    let origin = Origin::start(move |request, wire| {
        if asked.fetch_add(1, Ordering::SeqCst) == 0 {
            theirs.wait();
        }
        let user = request.header("cookie").unwrap().trim_start_matches("user=").to_owned();
        let kind =
            request.target().trim_start_matches('/').split('/').next().unwrap().parse::<usize>().unwrap();
        wire.send(answer(200, &KINDS[kind].0.replace("TAG", &user), &format!("for {user}")));
    });
    (origin, gate)
}

#[test]
fn s16_users_who_revalidate_at_the_same_time_get_their_own() {
    // Each has a tag of its own, and the server gives a 304 to the one whose tag it is.
    let (gate, hold) = (Gate::default(), Arc::new(AtomicBool::new(false)));
    let (theirs, holds) = (gate.clone(), hold.clone());
    let origin = Origin::start(move |request, wire| {
        let user = request.header("cookie").unwrap().trim_start_matches("user=").to_owned();
        if holds.swap(false, Ordering::SeqCst) {
            theirs.wait();
        }
        let fields = format!("cache-control: no-cache\r\netag: \"{user}\"\r\n");
        if request.header("if-none-match") == Some(format!("\"{user}\"").as_str()) {
            wire.send(format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n"));
        } else {
            wire.send(answer(200, &fields, &format!("for {user}")));
        }
    });
    let evenkeel = start(&origin, "true");
    let ask = |user: usize| format!("GET / HTTP/1.1\r\nhost: test\r\ncookie: user=u{user}\r\n\r\n");
    assert_eq!(evenkeel.ask(ask(0)).text(), "for u0");
    hold.store(true, Ordering::SeqCst);
    let mut clients = Vec::new();
    for at in 0..10 {
        let mut client = evenkeel.client();
        client.send(ask(at));
        clients.push(client);
        crate::support::eventually("the server is asked", || origin.count() >= 2);
    }
    gate.open();
    for (at, response) in answers(clients).into_iter().enumerate() {
        assert_eq!(response.text(), format!("for u{at}"));
    }
}

#[test]
fn s16_an_answer_to_authorization_is_for_that_user_alone() {
    let origin = Origin::answering(|request| fresh("", request.header("authorization").unwrap_or("none")));
    let evenkeel = start(&origin, "{ ttl = \"10m\" }");
    for _ in 0..2 {
        for user in ["Bearer one", "Bearer two"] {
            let response = evenkeel.client().get_with("/", &format!("authorization: {user}\r\n"));
            assert_eq!(response.text(), user);
        }
    }
    assert_eq!(wait_until_kept(&evenkeel, "/").text(), "none");
}

#[test]
fn s16_one_user_cannot_keep_the_cache_from_the_others() {
    // Something that may not be kept, because of who asks, leaves no marker for long.
    let origin = Origin::answering(|_| fresh("", "hello"));
    let evenkeel = start(&origin, "true");
    for round in 0..3 {
        let target = format!("/{round}");
        evenkeel.client().get_with(&target, "authorization: Bearer one\r\n");
        let mut hits = 0;
        for _ in 0..5 {
            hits += usize::from(is_hit(&evenkeel.get(&target)));
        }
        assert!(hits >= 3, "{hits} of 5 requests are hits");
    }
}

#[test]
fn s16_a_certificate_tells_users_apart_as_authorization_does() {
    let authority = Authority::new();
    let folder = Folder::new();
    let (certificate, roots) =
        (authority.issue(&["app.test"]).write(&folder, "app"), authority.write(&folder, "ca.pem"));
    for vary in ["", "vary: x-user\r\n", "vary: authorization\r\n"] {
        let origin =
            Origin::answering(move |request| fresh(vary, request.header("x-user").unwrap_or("none")));
        let evenkeel = Evenkeel::start(&format!(
            "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n[listener.web.tls]\n\
             certificates = [{certificate}]\nclient_auth = \"optional\"\nclient_ca = \"{roots}\"\n\
             client_subject_header = \"x-user\"\n\
             [[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = {{ ttl = \"10m\" }}\n{}",
            pool(&[&origin], "")
        ));
        let anybody = TlsClient::new(&authority);
        let users = ["alice", "bob"].map(|name| {
            let issued = authority.issue_with(&[], |params| {
                params.distinguished_name.push(rcgen::DnType::CommonName, name);
            });
            (name, anybody.clone().showing(&issued))
        });
        for _ in 0..2 {
            for (name, client) in &users {
                let mut client = client.connect(evenkeel.address(), "app.test").unwrap();
                let text = client.ask("GET / HTTP/1.1\r\nhost: app.test\r\nx-user: CN=alice\r\n\r\n").text();
                assert!(text.contains(&format!("CN={name}")), "{vary:?}: {name} sees {text}");
            }
            let mut uncertified = anybody.connect(evenkeel.address(), "app.test").unwrap();
            let text = uncertified.ask("GET / HTTP/1.1\r\nhost: app.test\r\nx-user: CN=alice\r\n\r\n").text();
            assert_eq!(text, "none", "{vary:?}");
        }
    }
}
