//! What counts as a failure for a circuit breaker is the pool's to say, in the words that `retry` has for it.

use crate::support::{Evenkeel, Origin, answer, pool};

/// How often the server is asked before its pool refuses, of eight requests.
fn asked(server: &Origin, breaker: &str, on: &str) -> usize {
    let keys = format!(
        "{breaker} = {{ failures = \"50%\", requests_min = 4, window = \"1h\", open_for = \"1h\"{on} }}"
    );
    let evenkeel = Evenkeel::start(&pool(&[server], &keys));
    let mut client = evenkeel.client();
    (0..8).for_each(|_| drop(client.get("/")));
    server.count()
}

#[test]
fn a_pool_says_which_statuses_open_its_breakers() {
    for breaker in ["breaker", "server_breaker"] {
        for (on, status, expected) in [
            (", on = [\"500\"]", 500, 4),
            (", on = [\"5xx\"]", 500, 4),
            (", on = [\"5xx\"]", 501, 4),
            (", on = [\"503\"]", 502, 8),
            (", on = [\"connect\"]", 503, 8),
            (", on = [\"429\"]", 429, 4),
            (", on = [\"5xx\"]", 404, 8),
            ("", 500, 8),
            ("", 503, 4),
        ] {
            let server = Origin::bytes(answer(status, "", "no"));
            assert_eq!(asked(&server, breaker, on), expected, "{breaker}: {status}{on}");
        }
    }
}
