//! What a 304 and the answer to a HEAD change.

use super::*;

type Lines<'a> = &'a [(&'a str, &'a str)];

fn merged(old: Lines<'_>, new: Lines<'_>) -> Vec<(String, String)> {
    fn bytes<'a>(lines: Lines<'a>) -> Vec<Line<'a>> {
        lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let without = NotKept::new(vec![b"x-hop".as_slice().into()], false);
    let (old, new) = (bytes(old), bytes(new));
    merge(&old, &new, &without).iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn check(old: Lines<'_>, new: Lines<'_>, expected: Lines<'_>) {
    let expected: Vec<_> = expected.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    assert_eq!(merged(old, new), expected, "{old:?} and {new:?}");
}

#[test]
fn new_fields_take_the_place_of_old_ones() {
    check(
        &[("A", "1"), ("B", "2"), ("a", "3")],
        &[("a", "4"), ("C", "5"), ("A", "6")],
        &[("B", "2"), ("a", "4"), ("C", "5"), ("A", "6")],
    );
    check(&[("cache-control", "max-age=2")], &[], &[("cache-control", "max-age=2")]);
}

#[test]
fn what_describes_the_body_stays() {
    let body: Lines<'_> = &[
        ("content-length", "5"),
        ("content-encoding", "br"),
        ("content-md5", "x"),
        ("content-range", "y"),
        ("etag", "\"a\""),
    ];
    let other: Vec<(&str, &str)> = body.iter().map(|(name, _)| (*name, "other")).collect();
    check(body, &other, body);
    check(
        &[("content-type", "text/plain")],
        &[("content-type", "text/html")],
        &[("content-type", "text/html")],
    );
}

#[test]
fn what_is_not_kept_does_not_come_by_a_304() {
    check(&[("a", "1")], &[("connection", "x-hop"), ("x-hop", "2"), ("keep-alive", "3")], &[("a", "1")]);
}

#[test]
fn age_and_date_are_those_of_the_304() {
    check(
        &[("date", "then"), ("a", "1")],
        &[("date", "now"), ("age", "7")],
        &[("a", "1"), ("date", "now"), ("age", "7")],
    );
    check(&[("date", "then"), ("a", "1")], &[], &[("a", "1")]);
}

#[test]
fn validators_are_sent_as_they_came() {
    let head = [("ETag", "W/\"a\""), ("last-modified", "Wed, 01 Jan 2020 00:00:00 GMT")];
    let sent: Vec<_> = validators(&head[..]).collect();
    let expected: [(&str, &[u8]); 2] =
        [("if-none-match", b"W/\"a\""), ("if-modified-since", b"Wed, 01 Jan 2020 00:00:00 GMT")];
    assert_eq!(sent, expected);
    assert_eq!(validators(&[("a", "b")][..]).count(), 0);
}

#[test]
fn a_304_says_which_response_it_speaks_of() {
    let of = |tags: &[&str], answer: Lines<'_>| {
        let heads: Vec<Vec<(&str, &str)>> = tags.iter().map(|tag| vec![("etag", *tag)]).collect();
        select(heads.iter(), answer)
    };
    let tags = ["\"a\"", "W/\"b\"", "\"c\""];
    assert_eq!(of(&tags, &[("etag", "\"c\"")]), Some(2));
    assert_eq!(of(&tags, &[("etag", "\"b\"")]), Some(1));
    assert_eq!(of(&tags, &[("etag", "\"d\"")]), None);
    assert_eq!(of(&tags, &[]), None);
    assert_eq!(of(&tags[..1], &[("etag", "\"d\"")]), Some(0), "it was asked about no other");
    let heads: Vec<Vec<(&str, &str)>> = tags.iter().chain(&tags).map(|tag| vec![("etag", *tag)]).collect();
    assert_eq!(entity_tags(heads.iter()), Some(b"\"a\", W/\"b\", \"c\"".to_vec()));
    assert_eq!(entity_tags([vec![("etag", "broken")]].iter()), None);
}

#[test]
fn a_head_freshens_or_invalidates() {
    let kept: Lines<'_> = &[("etag", "\"a\""), ("content-length", "5"), ("x", "1")];
    assert_eq!(after_head(kept, 200, &[("etag", "\"a\""), ("x", "2")][..]), AfterHead::Freshen);
    assert_eq!(after_head(kept, 200, &[("content-length", "6")][..]), AfterHead::Invalidate);
    assert_eq!(after_head(kept, 200, &[("etag", "\"b\"")][..]), AfterHead::Invalidate);
    assert_eq!(after_head(kept, 410, &[("etag", "\"b\"")][..]), AfterHead::Keep);
}
