//! What counts as a failure of a server is the pool's to say, in the words that `retry` has for it.

use crate::support::{Evenkeel, Origin, answer, eventually, pool};

fn config(sick: &Origin, on: &str) -> (Origin, Evenkeel) {
    let well = Origin::named("well");
    let keys = format!("outlier = {{ failures = 3, window = \"1h\", eject = \"1h\"{on} }}");
    let evenkeel = Evenkeel::start(&pool(&[sick, &well], &keys));
    (well, evenkeel)
}

fn answering(status: u16) -> Origin {
    Origin::bytes(answer(status, "", "no")).called("sick")
}

/// The server's state after it had ten requests; its health is looked at again and again until it is ejected, if it
/// should be.
#[track_caller]
fn assert_state(evenkeel: &Evenkeel, state: &str, case: &str) {
    let mut client = evenkeel.client();
    // POST, so that nothing is tried again elsewhere.
    let ask = |client: &mut crate::support::Client| {
        client.ask("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n")
    };
    if state == "ejected" {
        eventually(&format!("{case}: it is ejected"), || {
            ask(&mut client);
            evenkeel.server("app", "sick")["state"] == "ejected"
        });
        return;
    }
    (0..20).for_each(|_| drop(ask(&mut client)));
    assert_eq!(evenkeel.server("app", "sick")["state"], state, "{case}");
}

#[test]
fn a_pool_says_which_statuses_are_failures_of_a_server() {
    for (on, status, state) in [
        (", on = [\"500\"]", 500, "ejected"),
        (", on = [\"5xx\"]", 500, "ejected"),
        (", on = [\"5xx\"]", 503, "ejected"),
        (", on = [\"5xx\"]", 507, "ejected"),
        (", on = [\"connect\", \"503\"]", 503, "ejected"),
        (", on = [\"503\"]", 502, "up"),
        (", on = [\"connect\", \"reset\", \"timeout\"]", 503, "up"),
        (", on = [\"429\"]", 429, "ejected"),
        (", on = [\"5xx\"]", 429, "up"),
        (", on = [\"5xx\"]", 404, "up"),
        ("", 500, "up"),
        ("", 502, "ejected"),
        ("", 503, "ejected"),
        ("", 504, "ejected"),
    ] {
        let sick = answering(status);
        let (_well, evenkeel) = config(&sick, on);
        assert_state(&evenkeel, state, &format!("{status}{on}"));
        assert_eq!(evenkeel.server("app", "well")["state"], "up");
    }
}

#[test]
fn a_pool_says_which_ends_of_a_connection_are_failures_of_a_server() {
    let resetting = || {
        let origin = Origin::start(|_, wire| wire.reset());
        origin.called("sick")
    };
    for (on, state) in [
        ("", "ejected"),
        (", on = [\"reset\"]", "ejected"),
        (", on = [\"5xx\"]", "up"),
        (", on = [\"connect\", \"timeout\"]", "up"),
    ] {
        let sick = resetting();
        let (_well, evenkeel) = config(&sick, on);
        assert_state(&evenkeel, state, &format!("reset{on}"));
    }
}
