//! What people see when a file is wrong: each `diagnostics/NAME.toml` yields exactly `NAME.txt`.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use evenkeel_config::{Severity, load, parse};

fn cases() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .collect();
    paths.sort();
    paths
}

/// With `UPDATE_GOLDEN=1` the expectation is written instead, to be read before it is committed.
fn check(input: &Path, expected: &Path) {
    let name = input.file_name().unwrap().to_string_lossy();
    let seen = match parse(&name, &fs::read_to_string(input).unwrap()) {
        Ok(parsed) => parsed.warnings.render(false),
        Err(faults) => faults.render(false),
    };
    // The renderer pads its lines.
    let seen: String = seen.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(expected, &seen).unwrap();
    }
    let written = fs::read_to_string(expected).unwrap_or_default();
    assert!(seen == written, "{name} yields\n{seen}\ninstead of\n{written}");
}

#[test]
fn every_fault_is_drawn_as_expected() {
    let cases = cases();
    assert!(cases.len() >= 10, "cases are missing: {cases:?}");
    for input in cases {
        check(&input, &input.with_extension("txt"));
    }
}

/// The message and the place of each fault.
fn faults(text: &str) -> Vec<(String, usize, usize)> {
    let faults = parse("test.toml", text).unwrap_err();
    faults.iter().map(|fault| (fault.message().to_owned(), fault.line(), fault.column())).collect()
}

#[test]
fn all_faults_come_at_once_in_the_order_of_the_file() {
    let text =
        "[pool.app]\nbackend = [3000]\n[server]\nwurkers = 2\ngrace = 5\n[listener.web]\nbind = \"a:b\"\n";
    let seen = faults(text);
    let places: Vec<(usize, usize)> = seen.iter().map(|(_, line, column)| (*line, *column)).collect();
    assert_eq!(places, [(1, 7), (2, 1), (4, 1), (5, 9), (7, 8)], "{seen:?}");
}

#[test]
fn columns_count_characters() {
    let seen = faults("[admin]\ntoken_file = \"é\" # \u{1F980}\n[log]\naccess = { \"é\" = 1 }\n");
    assert!(seen.contains(&("`access` is a table".into(), 4, 10)), "{seen:?}");
    let seen = faults("[listener.web]\nbind = [\"\u{1F980}é\", \"nowhere\"]\n");
    assert!(seen.iter().any(|(_, line, column)| (*line, *column) == (2, 15)), "{seen:?}");
}

#[test]
fn a_syntax_error_comes_alone() {
    for (text, line) in
        [("[server\nwurkers = 1", 1), ("wurkers = 1\nx = 1\nx = 2\n", 3), ("a = \"b", 1), ("[a]\n[a]", 2)]
    {
        let seen = faults(text);
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(seen[0].1, line, "{seen:?}");
        assert!(seen[0].2 > 0);
    }
}

#[test]
fn programs_get_the_same_as_json() {
    let faults = parse("a.toml", "[pool.app]\nbackend = [1]\n").unwrap_err().to_json();
    let fault = faults.as_array().unwrap().iter().find(|fault| fault["line"] == 2).unwrap();
    assert_eq!(fault["severity"], "error");
    assert_eq!(fault["file"], "a.toml");
    assert_eq!(fault["column"], 1);
    assert_eq!(fault["message"], "unknown key `backend` in `[pool.NAME]`");
    assert_eq!(fault["help"], "did you mean `backends`?");
    assert!(faults.as_array().unwrap().iter().any(|fault| fault["line"].is_null()));
}

#[test]
fn colours_come_only_when_asked_for() {
    let faults = parse("a.toml", "x = 1").unwrap_err();
    assert!(!faults.render(false).contains('\u{1b}'));
    assert!(faults.render(true).contains('\u{1b}'));
}

#[test]
fn a_long_line_is_named_and_not_drawn() {
    let faults = parse("a.toml", &format!("x = \"{}\"", "y".repeat(5_000))).unwrap_err();
    let drawn = faults.render(false);
    assert!(drawn.contains("a.toml:1:1") && drawn.len() < 2_000, "{drawn}");
}

#[test]
fn more_faults_than_anybody_reads_are_counted() {
    let text: String = (0..1_000).map(|at| format!("x{at} = 1\n")).collect();
    let faults = parse("a.toml", &text).unwrap_err();
    assert!(faults.len() < 300);
    assert!(faults.render(false).contains("more faults are not shown"));
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let missing = load(&directory.join("missing.toml")).unwrap_err();
    assert_eq!((missing.len(), missing.iter().next().unwrap().severity()), (1, Severity::Error));
    assert!(missing.render(false).contains("cannot read"), "{missing}");

    let binary = directory.join("not-utf-8.toml");
    fs::write(&binary, b"[server]\ngrace = \"\xff\"\n").unwrap();
    let faults = load(&binary).unwrap_err();
    assert!(faults.render(false).contains("is not UTF-8: see line 2"), "{faults}");
}
