//! One fetch for many: requests that come at the same time share one request to the server.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::support::cache::{
    answers, assert_said, config, crowd, fresh, is_hit, stale, start, wait_for_requests, wait_until_kept,
};
use crate::support::h2::frames::{flag, headers, kind};
use crate::support::h2::{Peer, fields};
use crate::support::{Evenkeel, Gate, Origin, answer, eventually, pool};

const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";

/// Sends its answer once the gate is open.
fn behind(gate: &Gate, text: String) -> Origin {
    let gate = gate.clone();
    Origin::start(move |_, wire| {
        gate.wait();
        wire.send(&text);
    })
}

/// Four workers, and a listener that speaks both versions.
fn both_versions(origin: &Origin) -> String {
    format!(
        "[server]\nworkers = 4\n[listener.web]\nbind = [\"127.0.0.1:0\"]\nhttp = [\"1.1\", \"2\"]\n\
         [[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = true\n{}",
        pool(&[origin], "")
    )
}

/// A server whose answer may be kept. It sends the head and half of the body once the first gate is open, and the rest once
/// the second is.
fn gated(head: &Gate, rest: &Gate) -> Origin {
    let (head, rest) = (head.clone(), rest.clone());
    Origin::start(move |_, wire| {
        head.wait();
        wire.send("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 10\r\n\r\nhello");
        rest.wait();
        wire.send("world");
    })
}

#[test]
fn a_hundred_clients_on_a_cold_key_are_one_request() {
    let gate = Gate::default();
    let body = "x".repeat(200_000);
    let origin = behind(&gate, fresh("", &body));
    let evenkeel = Evenkeel::start(&format!("[server]\nworkers = 4\n{}", config(&[&origin], "true")));
    let clients = crowd(&evenkeel, 100, GET);
    wait_for_requests(&evenkeel, 100);
    gate.open();
    let mut collapsed = 0;
    for response in answers(clients) {
        assert!(response.status == 200 && response.text() == body);
        collapsed += usize::from(response.header("cache-status").unwrap().contains("collapsed"));
    }
    assert_eq!((origin.count(), collapsed), (1, 99));
    eventually("they are counted", || evenkeel.metric("evenkeel_cache_coalesced_total", &[]) == 99.0);
    assert!(is_hit(&evenkeel.get("/")));
}

#[test]
fn clients_of_both_versions_share_one_request() {
    let gate = Gate::default();
    let body = "y".repeat(20_000);
    let origin = behind(&gate, fresh("", &body));
    let evenkeel = Evenkeel::start(&both_versions(&origin));
    let clients = crowd(&evenkeel, 50, GET);
    let mut peers: Vec<Peer> = (0..5).map(|_| Peer::greeted(evenkeel.client())).collect();
    for peer in &mut peers {
        for at in 0..10 {
            peer.send(headers(2 * at + 1, flag::WHOLE, fields::get())).unwrap();
        }
    }
    wait_for_requests(&evenkeel, 100);
    gate.open();
    answers(clients).iter().for_each(|response| assert!(response.text() == body));
    for mut peer in peers {
        let (mut ended, mut bytes) = (0, 0);
        while ended < 10 {
            let frame = peer.next().unwrap();
            assert_ne!(frame.kind, kind::RST_STREAM);
            if frame.kind == kind::DATA {
                bytes += frame.payload.len();
                peer.send(crate::support::h2::frames::window_update(0, frame.payload.len().max(1) as u32))
                    .unwrap();
                ended += usize::from(frame.has(flag::END_STREAM));
            }
        }
        assert_eq!(bytes, 10 * body.len());
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn the_body_streams_to_all_as_it_arrives() {
    let (first, second) = (Gate::default(), Gate::default());
    let origin = gated(&first, &second);
    let evenkeel = start(&origin, "true");
    let mut clients = crowd(&evenkeel, 20, GET);
    wait_for_requests(&evenkeel, 20);
    first.open();
    for client in &mut clients {
        client.head().unwrap();
        assert_eq!(client.exactly(5).unwrap(), b"hello");
    }
    // One that comes in the middle gets it from the beginning.
    let mut late = evenkeel.client();
    late.send(GET);
    late.head().unwrap();
    assert_eq!(late.exactly(5).unwrap(), b"hello");
    second.open();
    clients.push(late);
    for client in &mut clients {
        assert_eq!(client.exactly(5).unwrap(), b"world");
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_slow_reader_does_not_hold_the_others_back() {
    let body = "z".repeat(8 << 20);
    let origin = Origin::bytes(fresh("", &body));
    let evenkeel = start(&origin, "true");
    let mut slow = crate::support::Client::slow_reader(evenkeel.address());
    slow.send(GET);
    slow.head().unwrap();
    let clients = crowd(&evenkeel, 5, GET);
    answers(clients).iter().for_each(|response| assert!(response.text() == body));
    assert!(slow.exactly(body.len()).unwrap() == body.as_bytes());
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_slow_reader_of_what_is_too_long_to_be_kept_does_not_hold_the_others_back() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let (chunk, count) = ("c".repeat(1 << 16), 128);
    let origin = Origin::start(move |_, wire| {
        theirs.wait();
        wire.send("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n");
        (0..count).for_each(|_| assert!(wire.send(format!("10000\r\n{chunk}\r\n"))));
        wire.send("0\r\n\r\n");
    });
    let evenkeel = start(&origin, "{ max_object = \"1MiB\" }");
    let mut slow = crate::support::Client::slow_reader(evenkeel.address());
    slow.send(GET);
    let clients = crowd(&evenkeel, 5, GET);
    wait_for_requests(&evenkeel, 6);
    gate.open();
    answers(clients).iter().for_each(|response| assert_eq!(response.text().len(), count << 16));
    assert_eq!(slow.answer("GET").text().len(), count << 16);
    assert_eq!(origin.count(), 1);
}

#[test]
fn the_others_get_all_when_the_client_that_began_leaves() {
    let (head, rest) = (Gate::default(), Gate::default());
    let origin = gated(&head, &rest);
    let evenkeel = start(&origin, "true");
    // The one that began leaves before the head.
    let leader = crowd(&evenkeel, 1, GET);
    eventually("the server is asked", || origin.count() == 1);
    let mut followers = crowd(&evenkeel, 10, GET);
    wait_for_requests(&evenkeel, 11);
    drop(leader);
    wait_for_requests(&evenkeel, 10);
    // Some of the others as well.
    followers.truncate(6);
    wait_for_requests(&evenkeel, 6);
    head.open();
    for client in &mut followers {
        client.head().unwrap();
        assert_eq!(client.exactly(5).unwrap(), b"hello");
    }
    // And some in the body.
    followers.truncate(3);
    rest.open();
    for client in &mut followers {
        assert_eq!(client.exactly(5).unwrap(), b"world");
    }
    assert!(is_hit(&wait_until_kept(&evenkeel, "/")));
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_fetch_that_all_clients_have_left_is_kept_all_the_same() {
    let gate = Gate::default();
    let origin = behind(&gate, fresh("", "hello"));
    let evenkeel = start(&origin, "true");
    let clients = crowd(&evenkeel, 3, GET);
    wait_for_requests(&evenkeel, 3);
    drop(clients);
    wait_for_requests(&evenkeel, 0);
    gate.open();
    eventually("it is kept", || evenkeel.metric("evenkeel_cache_objects", &[]) == 1.0);
    assert!(is_hit(&evenkeel.get("/")));
    assert_eq!(origin.count(), 1);
}

/// Answers each request once all of `count` have come, so that requests in a line never are.
fn meeting(count: usize, first: &Gate, text: String) -> Origin {
    let (gate, all, arrived) = (first.clone(), Gate::default(), AtomicUsize::new(0));
    Origin::start(move |_, wire| {
        match arrived.fetch_add(1, Ordering::SeqCst) + 1 {
            1 => gate.wait(),
            at if at == count => all.open(),
            _ => all.wait(),
        }
        wire.send(&text);
    })
}

#[test]
fn what_cannot_be_shared_is_fetched_by_all_at_the_same_time() {
    for fields in ["cache-control: private\r\n", "cache-control: max-age=60\r\nset-cookie: a=b\r\n", ""] {
        let gate = Gate::default();
        let origin = meeting(20, &gate, answer(200, fields, "mine"));
        let evenkeel = start(&origin, "true");
        let clients = crowd(&evenkeel, 20, GET);
        wait_for_requests(&evenkeel, 20);
        eventually("the server is asked", || origin.count() == 1);
        gate.open();
        answers(clients).iter().for_each(|response| assert_eq!(response.text(), "mine"));
        assert_eq!(origin.count(), 20);
    }
}

#[test]
fn later_requests_do_not_wait_for_what_could_not_be_shared() {
    let gate = Gate::default();
    gate.open();
    let origin = meeting(11, &gate, answer(200, "cache-control: private\r\n", "mine"));
    let evenkeel = start(&origin, "true");
    assert_eq!(evenkeel.get("/").text(), "mine");
    // None is answered before all have come.
    let clients = crowd(&evenkeel, 10, GET);
    answers(clients).iter().for_each(|response| assert_eq!(response.text(), "mine"));
    assert_eq!(origin.count(), 11);
}

#[test]
fn revalidations_that_may_not_be_shared_do_not_stand_in_a_line() {
    // Each use asks the server, so one client's answer is not another's.
    let arrived = AtomicUsize::new(0);
    let all = Gate::default();
    let origin = Origin::start(move |_, wire| {
        let at = arrived.fetch_add(1, Ordering::SeqCst);
        match at {
            0 => {}
            1..10 => all.wait(),
            _ => all.open(),
        }
        wire.send(answer(200, "cache-control: no-cache\r\netag: \"one\"\r\n", &format!("{at}")));
    });
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    let mut bodies: Vec<String> =
        answers(crowd(&evenkeel, 10, GET)).iter().map(|response| response.text()).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 10, "each has an answer of its own: {bodies:?}");
}

#[test]
fn stale_responses_are_revalidated_once_for_all() {
    let gate = Gate::default();
    let (theirs, asked) = (gate.clone(), AtomicUsize::new(0));
    let origin = Origin::start(move |_, wire| {
        if asked.fetch_add(1, Ordering::SeqCst) == 0 {
            wire.send(stale("", "one", "hello"));
        } else {
            theirs.wait();
            wire.send("HTTP/1.1 304 Not Modified\r\ncache-control: max-age=600\r\netag: \"one\"\r\n\r\n");
        }
    });
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    let clients = crowd(&evenkeel, 50, GET);
    wait_for_requests(&evenkeel, 50);
    gate.open();
    for response in answers(clients) {
        assert_eq!(response.text(), "hello");
        assert_said(&response, "fwd=stale");
    }
    assert_eq!(origin.count(), 2);
}

#[test]
fn no_client_hangs_when_the_server_fails_before_the_head() {
    for keeps_listening in [true, false] {
        let gate = Gate::default();
        let theirs = gate.clone();
        let origin = Origin::start(move |_, wire| {
            theirs.wait();
            wire.close();
        });
        let evenkeel = start(&origin, "true");
        let clients = crowd(&evenkeel, 20, GET);
        wait_for_requests(&evenkeel, 20);
        if !keeps_listening {
            origin.stop();
        }
        gate.open();
        for response in answers(clients) {
            assert!((502..=504).contains(&response.status), "{}", response.status);
        }
    }
}

#[test]
fn heads_and_gets_at_the_same_time_are_answered() {
    let origin = Origin::start(|request, wire| {
        let text = fresh("", "hello");
        let end = if request.method() == "HEAD" { text.len() - 5 } else { text.len() };
        wire.send(&text[..end]);
    });
    let evenkeel = Evenkeel::start(&format!("[server]\nworkers = 4\n{}", config(&[&origin], "true")));
    for round in 0..20 {
        let target = format!("/{round}");
        let threads: Vec<_> = (0..8)
            .map(|at| {
                let (mut client, target) = (evenkeel.client(), target.clone());
                thread::spawn(move || {
                    let method = if at % 2 == 0 { "HEAD" } else { "GET" };
                    let response = client.ask(format!("{method} {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
                    assert_eq!(response.status, 200);
                    assert_eq!(response.text(), if at % 2 == 0 { "" } else { "hello" });
                    assert_eq!(response.header("content-length").unwrap_or("5"), "5");
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

#[test]
fn a_client_that_leaves_before_a_private_answer_takes_its_request_along() {
    let gate = Gate::default();
    let origin = behind(&gate, answer(200, "cache-control: private\r\n", "mine"));
    let evenkeel = start(&origin, "true");
    let clients = crowd(&evenkeel, 3, GET);
    wait_for_requests(&evenkeel, 3);
    drop(clients);
    wait_for_requests(&evenkeel, 0);
    gate.open();
    eventually("no request is at the server", || evenkeel.metric("evenkeel_backend_in_flight", &[]) == 0.0);
    assert_eq!(evenkeel.get("/").text(), "mine");
}

#[test]
fn a_client_that_leaves_in_the_body_of_its_own_fetch_leaves_it_to_the_cache() {
    let gate = Gate::default();
    let theirs = gate.clone();
    let origin = Origin::start(move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 10\r\n\r\nhello");
        theirs.wait();
        wire.send("world");
    });
    let evenkeel = start(&origin, "true");
    let mut client = evenkeel.client();
    client.send(GET);
    client.head().unwrap();
    assert_eq!(client.exactly(5).unwrap(), b"hello");
    drop(client);
    gate.open();
    let hit = wait_until_kept(&evenkeel, "/");
    assert_eq!(hit.text(), "helloworld");
    assert_eq!(origin.count(), 1);
}

#[test]
fn clients_that_leave_in_the_middle_of_hits_harm_no_other() {
    let body = "h".repeat(4 << 20);
    let origin = Origin::bytes(fresh("", &body));
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    for mut client in crowd(&evenkeel, 20, GET) {
        client.head().unwrap();
    }
    assert!(evenkeel.get("/").text() == body);
    wait_for_requests(&evenkeel, 0);
    assert_eq!(origin.count(), 1);
}

#[test]
fn none_waits_longer_than_it_may_for_the_fetch_of_another() {
    let origin = Origin::start(|_, wire| {
        wire.hold();
        wire.close();
    });
    let text = config(&[&origin], "true").replace("cache =", "timeout = { request = \"500ms\" }\ncache =");
    let evenkeel = Evenkeel::start(&text);
    for response in answers(crowd(&evenkeel, 10, GET)) {
        assert_eq!(response.status, 504);
    }
}
