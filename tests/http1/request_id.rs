//! `request_id = "server"`: clients see the id that the server gave its response, where a route says so.

use crate::support::{Evenkeel, Origin, answer, pool};

#[test]
fn a_route_may_keep_the_servers_own_request_id() {
    let origin = Origin::answering(|request| match request.target() {
        "/without" => answer(200, "", "a"),
        _ => answer(200, "X-Request-Id: theirs\r\n", "a"),
    });
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n\
         [[route]]\npath = \"/ours\"\npool = \"app\"\n\
         [[route]]\npath = \"/too\"\npool = \"app\"\nrequest_id = \"own\"\n\
         [[route]]\npool = \"app\"\nrequest_id = \"server\"\n{}",
        pool(&[&origin], "")
    ));
    let mut client = evenkeel.client();
    let response = client.get("/theirs");
    assert_eq!(response.headers("x-request-id"), ["theirs"]);
    let sent = origin.last().header("x-request-id").unwrap().to_owned();
    assert_ne!(sent, "theirs", "the server gets ours");
    let record = evenkeel.record(|record| record["target"] == "/theirs");
    assert_eq!(record["request_id"], sent.as_str(), "the log has ours too");
    for target in ["/without", "/ours", "/too"] {
        let response = client.get(target);
        assert_eq!(response.header("x-request-id"), origin.last().header("x-request-id"), "{target}");
    }
}
