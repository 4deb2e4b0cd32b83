//! What counts as a trace context, in each form, and what is written.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use Propagation::{B3 as Single, B3Multi, TraceContext};
use proptest::prelude::*;

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn ids() -> (TraceId, SpanId) {
    let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
    (TraceId(trace), SpanId(0x00f0_67aa_0ba9_02b7_u64.to_be_bytes()))
}

fn of(forms: &[Propagation], headers: &[(&str, &str)]) -> Incoming {
    let headers: HashMap<_, _> = headers.iter().copied().collect();
    read(forms, |name| headers.get(name).map(|value| value.as_bytes()))
}

#[test]
fn a_traceparent_is_read_as_the_recommendation_says() {
    for (value, sampled) in [
        (format!("00-{TRACE}-{SPAN}-01"), Some(true)),
        (format!("00-{TRACE}-{SPAN}-00"), Some(false)),
        (format!("00-{TRACE}-{SPAN}-03"), Some(true)),
        (format!("00-{TRACE}-{SPAN}-fe"), Some(false)),
        (format!("cc-{TRACE}-{SPAN}-01"), Some(true)),
        (format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"), Some(true)),
    ] {
        let found = of(&[TraceContext], &[("traceparent", &value)]);
        assert_eq!(found, Incoming { parent: Some(ids()), sampled, is_w3c: true }, "{value}");
    }
    for value in [
        String::new(),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}-01-more"),
        format!("00-{TRACE}-{SPAN}-01."),
        format!("cc-{TRACE}-{SPAN}-01.what"),
        format!("00-{}-{SPAN}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{SPAN}-1"),
        format!("00-{TRACE}-{SPAN}-0g"),
        format!("00_{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}"),
        format!(" 00-{TRACE}-{SPAN}-01"),
        format!("00-{}-{SPAN}-01", "ü".repeat(16)),
    ] {
        assert_eq!(of(&[TraceContext], &[("traceparent", &value)]), Incoming::default(), "{value}");
    }
}

#[test]
fn both_forms_of_b3_are_read() {
    let found = |sampled| Incoming { parent: Some(ids()), sampled, is_w3c: false };
    for (value, sampled) in [
        (format!("{TRACE}-{SPAN}"), None),
        (format!("{TRACE}-{SPAN}-1"), Some(true)),
        (format!("{TRACE}-{SPAN}-0"), Some(false)),
        (format!("{TRACE}-{SPAN}-d"), Some(true)),
        (format!("{}-{SPAN}-1-05e3ac9a4f6e3b90", TRACE.to_uppercase()), Some(true)),
    ] {
        assert_eq!(of(&[Single], &[("b3", &value)]), found(sampled), "{value}");
        assert_eq!(of(&[B3Multi], &[("b3", &value)]), found(sampled), "{value}");
    }
    let multi = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN), ("x-b3-sampled", "0")];
    assert_eq!(of(&[Single], &multi), found(Some(false)));
    assert_eq!(of(&[Single], &multi[..2]), found(None));
    assert_eq!(of(&[Single], &[multi[0], multi[1], ("x-b3-flags", "1")]), found(Some(true)));
    let short = of(&[Single], &[("b3", "a3ce929d0e0e4736-00f067aa0ba902b7-1")]);
    assert_eq!(short.parent.unwrap().0.0[..8], [0; 8]);
    for (value, sampled) in
        [("0", Some(false)), ("1", Some(true)), ("d", Some(true)), ("2", None), ("", None)]
    {
        assert_eq!(of(&[Single], &[("b3", value)]), Incoming { sampled, ..Incoming::default() }, "{value}");
    }
    for value in [
        format!("{TRACE}-{SPAN}-x"),
        format!("{TRACE}-"),
        format!("{TRACE}-{SPAN}-1-1"),
        format!("{TRACE}-{SPAN}-1-{SPAN}-1"),
    ] {
        assert_eq!(of(&[Single], &[("b3", &value)]), Incoming::default(), "{value}");
    }
}

#[test]
fn the_first_valid_form_wins() {
    let other = "11111111111111111111111111111111-2222222222222222-0";
    let good = format!("00-{TRACE}-{SPAN}-01");
    let both = [("traceparent", good.as_str()), ("b3", other)];
    assert!(of(&[TraceContext, Single], &both).is_w3c);
    assert_eq!(of(&[Single, TraceContext], &both).sampled, Some(false));
    assert_eq!(of(&[TraceContext, Single], &[("traceparent", "00-bad"), ("b3", other)]).sampled, Some(false));
    assert_eq!(
        of(&[TraceContext], &[("b3", other)]),
        Incoming::default(),
        "a form that is not listed is not read"
    );
    assert!(
        of(&[Single, TraceContext], &[("b3", "0"), ("traceparent", &good)]).is_w3c,
        "ids win over a bare decision"
    );
}

#[test]
fn what_is_written_can_be_read() {
    let (trace, span) = ids();
    assert_eq!(traceparent(trace, span, true).as_slice(), format!("00-{TRACE}-{SPAN}-01").as_bytes());
    assert_eq!(b3(trace, span, false).as_slice(), format!("{TRACE}-{SPAN}-0").as_bytes());
}

#[test]
fn only_those_who_may_decide_do() {
    let all = || u64::MAX;
    for (decides, trusted, said, expected) in [
        (ParentDecides::Trusted, true, Some(true), true),
        (ParentDecides::Trusted, false, Some(true), false),
        (ParentDecides::All, false, Some(true), true),
        (ParentDecides::None, true, Some(true), false),
        (ParentDecides::All, true, None, false),
    ] {
        assert_eq!(
            is_sampled(said, (decides, trusted), Share::NONE, all),
            expected,
            "{decides:?} {trusted} {said:?}"
        );
    }
    assert!(!is_sampled(Some(false), (ParentDecides::Trusted, true), Share::ALL, all));
    assert!(is_sampled(Some(false), (ParentDecides::Trusted, false), Share::ALL, all));
}

proptest! {
    #[test]
    fn no_bytes_are_more_than_they_seem(value in prop::collection::vec(any::<u8>(), 0..80), name in 0_usize..3) {
        let name = ["traceparent", "b3", "x-b3-traceid"][name];
        let found = read(&[TraceContext, Single, B3Multi], |asked| (asked == name).then_some(&value[..]));
        if let Some((trace, span)) = found.parent {
            prop_assert!(trace.0 != [0; 16] && span.0 != [0; 8]);
        }
    }
}
