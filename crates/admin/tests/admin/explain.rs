//! `POST /explain`: questions are read, and the answer is that of the process.

use crate::fixture::Api;

#[test]
fn a_question_has_defaults_and_headers_with_one_value_or_several() {
    let api = Api::start();
    let answer = api.post("/explain", r#"{"url":"http://x/","headers":{"b":["1","2"],"a":"3"}}"#);
    assert_eq!(answer.json(), serde_json::json!({ "asked": ["a: 3", "b: 1", "b: 2"], "method": "GET" }));
}

#[test]
fn what_cannot_be_asked_is_refused_with_why() {
    let api = Api::start();
    let impossible = api.post("/explain", r#"{"url":"ftp://x/"}"#);
    assert_eq!((impossible.status, impossible.error().contains("ftp://")), (422, true));
    for wrong in
        ["{}", r#"{"url":1}"#, r#"{"url":"http://x/","client":"nobody"}"#, r#"{"url":"/","head":""}"#]
    {
        assert_eq!(api.post("/explain", wrong).status, 400, "{wrong}");
    }
}
