//! Routes set, add and remove fields on the way in and out.

use crate::support::{Evenkeel, Origin, answer, pool};

const EDITS: &str = "\
[listener.web]
bind = [\"127.0.0.1:0\"]
[[route]]
pool = \"app\"
request_headers = { set = { x-env = \"prod\", X-Replaced = \"ours\" }, add = { x-many = \"two\" }, remove = [\"x-debug\"] }
response_headers = { set = { cache-control = \"no-store\" }, add = { x-many = \"two\" }, remove = [\"Server\"] }
[[route]]
path = \"/own\"
respond = { body = \"own\" }
response_headers = { set = { x-frame-options = \"DENY\" } }
";

#[test]
fn edits_apply_in_both_directions() {
    let origin = Origin::bytes(answer(
        200,
        "cache-control: public\r\nserver: x/1\r\nx-many: one\r\nx-kept: 1\r\n",
        "a",
    ));
    let evenkeel = Evenkeel::start(&format!("{EDITS}{}", pool(&[&origin], "")));
    let mut client = evenkeel.client();
    for _ in 0..2 {
        let fields = "x-replaced: theirs\r\nX-REPLACED: again\r\nx-many: one\r\nX-Debug: 1\r\nx-kept: 1\r\n";
        let response = client.get_with("/", fields);
        let request = origin.last();
        assert_eq!(request.headers("x-env"), ["prod"]);
        assert_eq!(request.headers("x-replaced"), ["ours"]);
        assert_eq!(request.headers("x-many"), ["one", "two"]);
        assert_eq!(request.headers("x-debug"), [""; 0]);
        assert_eq!(request.headers("x-kept"), ["1"]);
        assert_eq!(response.headers("cache-control"), ["no-store"]);
        assert_eq!(response.headers("server"), [""; 0]);
        assert_eq!(response.headers("x-many"), ["one", "two"]);
        assert_eq!(response.headers("x-kept"), ["1"]);
    }
}

#[test]
fn answers_of_our_own_are_edited_too() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!("{EDITS}{}", pool(&[&origin], "")));
    assert_eq!(evenkeel.get("/own").header("x-frame-options"), Some("DENY"));
}
