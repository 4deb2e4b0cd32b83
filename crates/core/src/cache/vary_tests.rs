//! Which of several responses of one key a request selects.

use super::*;

type Lines<'a> = &'a [(&'a str, &'a str)];

/// True if the second request selects what was kept for the first.
fn selects(vary: &str, kept: Lines<'_>, asked: Lines<'_>) -> bool {
    let vary = Vary::of(&[("vary", vary)][..]).expect("a vary");
    vary.variant(kept) == vary.variant(asked)
}

#[test]
fn names_are_sorted_and_in_lower_case() {
    let head = [("Vary", "Foo , bar"), ("vary", ", FOO")];
    assert_eq!(Vary::of(&head[..]).map(|vary| vary.names().to_owned()), Ok("bar,foo".into()));
    assert!(Vary::of(&[("vary", "")][..]).is_ok_and(|vary| vary.is_empty()));
    for star in ["*", "*, *", ", *", "*, foo", "foo, *"] {
        assert_eq!(Vary::of(&[("vary", star)][..]), Err(VaryFault::Star), "{star}");
    }
    assert_eq!(Vary::of(&[("vary", ""), ("vary", "*")][..]), Err(VaryFault::Star));
    assert_eq!(Vary::of(&[("vary", "x".repeat(2_000))][..]), Err(VaryFault::TooLong));
}

#[test]
fn requests_that_say_the_same_select_the_same() {
    assert!(selects("foo", &[("Foo", "1")], &[("foo", "1"), ("other", "2")]));
    assert!(selects("foo", &[("foo", "1, 2")], &[("foo", "1"), ("foo", "2")]));
    assert!(selects("foo", &[("foo", "1,2")], &[("foo", " 1, 2 ")]));
    assert!(selects("foo, bar", &[("foo", "1")], &[("foo", "1")]), "both have no bar");
    let language = |one: &str, other: &str| {
        selects("accept-language", &[("accept-language", one)], &[("accept-language", other)])
    };
    assert!(
        language("en, de", "de, en")
            && language("en, de", "eN , De")
            && language("en;q=1.0, de", "de, en ;q=1")
    );
    assert!(language("de;q=0.50", "de;q=0.5") && !language("de;q=0.5", "de;q=0.05"));
    assert!(!language("en, de;q=0.5", "en;q=0.5, de"));
}

#[test]
fn requests_that_differ_do_not() {
    assert!(!selects("foo", &[("foo", "1")], &[("foo", "2")]));
    assert!(!selects("foo", &[("foo", "1")], &[]));
    assert!(!selects("foo", &[], &[("foo", "")]), "a field without a value is another thing than none");
    assert!(!selects("foo", &[("foo", "1 2")], &[("foo", "1, 2")]));
    assert!(!selects("foo", &[("foo", "a")], &[("foo", "A")]), "an unknown field may heed case");
    assert!(!selects("foo", &[("foo", "\"a,b\"")], &[("foo", "\"a, b\"")]), "quoted text is not touched");
    // Fields that tell users apart are compared to the byte.
    assert!(!selects("cookie", &[("cookie", "a=1,b")], &[("cookie", "a=1, b")]));
    assert!(!selects("cookie", &[("cookie", "a=1"), ("cookie", "b")], &[("cookie", "a=1,b")]));
    assert!(!selects("authorization", &[("authorization", "A")], &[]));
    // No value can pass for two fields.
    assert!(!selects("a, b", &[("a", "1"), ("b", "2")], &[("a", "1\u{1}\u{1}2")]));
}

#[test]
fn the_newest_of_those_that_match_is_selected() {
    let foo = Vary::of(&[("vary", "foo")][..]).expect("a vary");
    let none = Vary::default();
    let one: Lines<'_> = &[("foo", "1")];
    let two: Lines<'_> = &[("foo", "2")];
    let kept = [
        (&foo, foo.variant(one), 5),
        (&none, none.variant(one), 3),
        (&foo, foo.variant(two), 9),
        (&foo, foo.variant(one), 5),
    ];
    let of = |request: Lines<'_>| {
        select(request, kept.iter().map(|(vary, variant, date)| (*vary, variant, *date)))
    };
    assert_eq!((of(one), of(two), of(&[])), (Some(3), Some(2), Some(1)));
    assert_eq!(select(one, std::iter::empty::<(&Vary, &Variant, u8)>()), None);
}
