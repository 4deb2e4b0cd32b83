//! HEAD requests where something is kept: what they learn may not stand for the response to a GET.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Evenkeel, Origin, answer, eventually, pool};

const HEAD: &str = "HEAD / HTTP/1.1\r\nhost: test\r\n\r\n";

/// Answers GET and HEAD with the `count`-th of `answers`, the last again and again.
fn answering(answers: Vec<String>) -> Origin {
    let asked = AtomicUsize::new(0);
    Origin::answering(move |request| {
        let at = asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let text = &answers[at];
        let head = text.find("\r\n\r\n").unwrap() + 4;
        if request.method() == "HEAD" { text[..head].to_owned() } else { text.clone() }
    })
}

fn start(origin: &Origin, rules: &str) -> Evenkeel {
    let servers = pool(&[origin], "");
    Evenkeel::start(&format!("[[route]]\npath = \"/*\"\npool = \"app\"\ncache = {rules}\n{servers}"))
}

fn stale(fields: &str, body: &str) -> String {
    answer(200, &format!("cache-control: max-age=10\r\nage: 15\r\n{fields}"), body)
}

fn fresh(status: u16, body: &str) -> String {
    answer(status, "cache-control: max-age=600\r\n", body)
}

#[test]
fn a_head_that_finds_a_stale_response_leaves_a_whole_one_for_the_next_get() {
    for status in [200, 410] {
        let origin = answering(vec![stale("etag: \"one\"\r\n", "old"), fresh(status, "newer")]);
        let evenkeel = start(&origin, "true");
        evenkeel.get("/");
        let head = evenkeel.ask(HEAD);
        assert_eq!((head.status, head.header("content-length")), (status, Some("5")));
        assert_eq!(head.text(), "");
        let get = evenkeel.get("/");
        assert_eq!((get.status, get.text().as_str()), (status, "newer"));
    }
}

#[test]
fn a_head_that_a_stale_response_answers_meanwhile_leaves_a_whole_one_too() {
    let origin = answering(vec![stale("etag: \"one\"\r\n", "old"), fresh(200, "newer")]);
    let evenkeel = start(&origin, "{ stale_while_revalidate = \"1m\" }");
    evenkeel.get("/");
    assert_eq!(evenkeel.ask(HEAD).header("content-length"), Some("3"));
    eventually("the fresh response is there", || {
        let get = evenkeel.get("/");
        assert!(["old", "newer"].contains(&get.text().as_str()), "{:?}", get.text());
        get.text() == "newer"
    });
}

#[test]
fn a_head_gets_no_body_of_an_answer_that_may_not_be_kept() {
    let private = answer(200, "cache-control: private\r\n", "for one alone");
    let origin = answering(vec![stale("etag: \"one\"\r\n", "old"), private]);
    let evenkeel = start(&origin, "true");
    evenkeel.get("/");
    let mut client = evenkeel.client();
    let head = client.ask(HEAD);
    assert_eq!((head.status, head.header("content-length")), (200, Some("13")));
    assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: test\r\n\r\n").text(), "for one alone");
}
