//! A strict reader of the text exposition format 0.0.4, for tests: it panics at whatever the format does not allow.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap, HashSet};

/// A page that was read.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Each family's type.
    pub(crate) types: HashMap<String, String>,
    /// Each sample's value by name and sorted labels.
    samples: BTreeMap<(String, Labels), f64>,
}

type Labels = BTreeMap<String, String>;

impl Page {
    /// The value of the sample that has exactly these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(label, value)| (label.to_string(), value.to_string())).collect();
        self.samples.get(&(name.to_string(), labels)).copied()
    }

    /// The values of all samples of that name together.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.samples.iter().filter(|((sample, _), _)| sample == name).map(|(_, value)| value).sum()
    }
}

/// Reads a page.
pub(crate) fn parse(text: &str) -> Page {
    assert!(text.ends_with('\n'), "the last line must end in a line feed");
    let mut page = Page::default();
    let mut helped = HashSet::new();
    let mut current = String::new();
    for line in text.trim_end_matches('\n').split('\n') {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(is_name(name) && helped.insert(name), "HELP of {name} twice or malformed");
            assert!(!text.contains('\\'), "an escape in the help of {name}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(page.types.insert(name.into(), kind.into()).is_none(), "TYPE of {name} twice");
            current = name.into();
        } else {
            let (name, labels, value) = sample(line);
            let known = match page.types[&current].as_str() {
                "histogram" => {
                    ["_bucket", "_sum", "_count"].iter().any(|suffix| name == format!("{current}{suffix}"))
                }
                _ => name == current,
            };
            assert!(known, "{name} stands among the samples of {current}");
            assert!(page.samples.insert((name, labels), value).is_none(), "twice: {line}");
        }
    }
    check_histograms(&page);
    page
}

fn sample(line: &str) -> (String, Labels, f64) {
    let name_end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(name_end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    if rest.starts_with('{') {
        loop {
            let (label, after) = rest[1..].split_once("=\"").unwrap();
            assert!(is_name(label) && !label.contains(':'), "label {label} in {line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(label.into(), value).is_none(), "label twice in {line}");
            rest = after;
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            assert!(rest.starts_with(','), "{line}");
        }
    }
    let value = rest.strip_prefix(' ').unwrap();
    assert!(!value.contains(' ') && !value.is_empty(), "{line}");
    (name.into(), labels, value.parse().unwrap())
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next().unwrap().1 {
                'n' => '\n',
                c @ ('"' | '\\') => c,
                c => panic!("unknown escape \\{c}"),
            }),
            c => value.push(c),
        }
    }
    panic!("no closing quote: {text}")
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

/// Buckets never shrink, end with infinity, and infinity holds the count.
fn check_histograms(page: &Page) {
    let mut buckets = HashMap::<(String, Labels), Vec<(f64, f64)>>::new();
    for ((name, labels), &value) in &page.samples {
        if let Some(family) = name.strip_suffix("_bucket") {
            let mut labels = labels.clone();
            let bound: f64 = labels.remove("le").unwrap().parse().unwrap();
            buckets.entry((family.into(), labels)).or_default().push((bound, value));
        }
    }
    for ((family, labels), mut buckets) in buckets {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{family} is not cumulative");
        let &(bound, count) = buckets.last().unwrap();
        assert!(bound.is_infinite(), "{family} has no +Inf");
        assert_eq!(page.samples.get(&(format!("{family}_count"), labels.clone())), Some(&count));
        assert!(page.samples.contains_key(&(format!("{family}_sum"), labels)), "{family} has no sum");
    }
}
