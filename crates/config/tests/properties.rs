//! Whatever the text is, reading it ends without a panic; and what is shown of a configuration is read back as it was.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use evenkeel_config::parse;
use proptest::prelude::*;

fn example(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)).unwrap()
}

/// Reads it, draws its faults, and shows it if it is a configuration.
fn survive(text: &str) {
    match parse("test.toml", text) {
        Ok(parsed) => {
            let shown = parsed.config.to_toml();
            let again = parse("shown", &shown).unwrap_or_else(|faults| panic!("{faults}\nof\n{text}"));
            assert_eq!(format!("{:?}", again.config), format!("{:?}", parsed.config), "{shown}");
            assert_eq!(parsed.warnings.render(false).is_empty(), parsed.warnings.is_empty());
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in &faults {
                assert!(faults.render(false).contains(fault.message()) || fault.message().contains('\n'));
            }
            assert_eq!(faults.to_json().as_array().unwrap().len(), faults.len());
        }
    }
}

/// Pieces of a file, to be put together in any way.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "server", "workers", "grace", "admin", "bind", "token_file", "log", "access", "limits", "listener",
    "web", "route", "pool", "app", "path", "path_regex", "host", "method", "headers", "query", "client",
    "split", "redirect", "respond", "rewrite", "request_headers", "set", "remove", "timeout", "backends",
    "sticky", "health", "expect", "outlier", "weight", "status", "body", "to", "[", "]", "[[", "]]", "{",
    "}", "=", ".", ",", "\n", "\"", "'", "#", "80", "-1", "1e9", "true", "\"/a/*\"", "\"5s\"", "\"off\"",
    "\"app\"", "\"é\"", "\"\\u0000\"", "\"*.a\"", "\"10.0.0.0/8\"", "\"2xx\"", "\"{path}\"", "\"(\"",
    "\"[::1]:80\"", "0x10", "1979-05-27",
];

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(WORDS)
}

/// A value of any type, for a key that may want another one.
fn value() -> impl Strategy<Value = String> {
    let text =
        prop_oneof![any::<String>(), "[ -~]{0,12}", "/[a-z*/.%?]{0,8}", "[0-9]{1,4}(ms|s|m|h|d|KiB|MB|B)?"];
    let leaf = prop_oneof![
        text.prop_map(|text| toml::Value::from(text).to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<bool>().prop_map(|value| value.to_string()),
        Just("1.5".to_owned()),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            ("[a-z_]{1,8}", inner).prop_map(|(key, value)| format!("{{ {key} = {value} }}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        survive(&text);
    }

    #[test]
    fn any_words_are_survived(words in prop::collection::vec(word(), 0..60)) {
        survive(&words.join(" "));
    }

    #[test]
    fn a_changed_example_is_survived(at in any::<prop::sample::Index>(), cut in 0usize..12, put in "[\\PC\n]{0,6}") {
        let mut chars: Vec<char> = example("everything.toml").chars().collect();
        let at = at.index(chars.len());
        let end = (at + cut).min(chars.len());
        chars.splice(at..end, put.chars());
        survive(&chars.into_iter().collect::<String>());
    }

    #[test]
    fn an_example_with_another_value_is_survived(line in any::<prop::sample::Index>(), value in value()) {
        let text = example("everything.toml");
        let with_keys: Vec<usize> = text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.split_once('=').is_some_and(|(key, _)| !key.contains(['[', '#', '{'])))
            .map(|(at, _)| at)
            .collect();
        let chosen = with_keys[line.index(with_keys.len())];
        let changed: Vec<String> = text
            .lines()
            .enumerate()
            .map(|(at, line)| match line.split_once('=') {
                Some((key, _)) if at == chosen => format!("{key}= {value}"),
                _ => line.to_owned(),
            })
            .collect();
        survive(&changed.join("\n"));
    }

    #[test]
    fn durations_and_sizes_are_shown_as_they_were_read(ms in 1u64..86_400_000, bytes in 1024u64..1_048_576) {
        let text = format!(
            "[listener.web]\nbind = 80\npool = \"app\"\ntimeout = {{ idle = \"{ms}ms\" }}\n[limits]\n\
             request_head = {bytes}\n[pool.app]\nbackends = [3000]\n"
        );
        let config = parse("test.toml", &text).unwrap().config;
        prop_assert_eq!(config.listeners[0].timeout.idle, Duration::from_millis(ms));
        prop_assert_eq!(config.limits.request_head as u64, bytes);
        survive(&text);
    }
}

#[test]
fn a_mebibyte_of_anything_ends_soon() {
    let mebibyte = |unit: &str| unit.repeat((1 << 20) / unit.len());
    let routes = "[[route]]\npath_regex = '(\\w{30}x?){9}'\npool = \"nowhere\"\n";
    let pools: String = (0..40_000).map(|at| format!("[pool.p{at}]\nbackend=1\n")).collect();
    let texts = [
        mebibyte("["),
        mebibyte("a."),
        mebibyte("{a="),
        mebibyte("\"\\"),
        mebibyte("[[route]]\n"),
        mebibyte(routes),
        mebibyte("\u{1F980}=1\n"),
        format!("x = [{}]", mebibyte("[],")),
        format!("x = \"{}\"", mebibyte("\u{2028}y")),
        format!("{pools}{}", "[[route]]\npool = \"q1234\"\n".repeat(10_000)),
        format!("[pool.app]\nbackends = [{}]", mebibyte("80,")),
        format!("[[route]]\npath_regex = '{}'", mebibyte("(a*)*")),
    ];
    for text in texts {
        let start = Instant::now();
        let faults = parse("test.toml", &text).unwrap_err();
        let drawn = faults.render(true);
        assert!(drawn.len() < 4 << 20, "{} bytes for {}", drawn.len(), &text[..20]);
        let spent = start.elapsed();
        assert!(
            spent < Duration::from_secs(30),
            "{spent:?} for {}",
            text.chars().take(20).collect::<String>()
        );
    }
}
