//! The screen of `evenkeel top`, as it stands in a terminal of 80 by 24.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;

use crate::draw::{Look, draw};
use crate::message::{Event, Message};
use crate::once::{lines, text};
use crate::state::State;

fn state(now: Instant) -> State {
    let server = |id: &str, state: &str, rps: f64| {
        serde_json::json!({
            "id": id, "address": "10.0.0.1:80", "state": state, "reason": "check failed: connection refused",
            "since_seconds": 12.0, "weight": 1, "now": { "rps": rps, "errors": 0.0, "p50": 1.25, "p99": 30.0, "in_flight": 2 },
        })
    };
    let pool = |name: &str, usable: usize, servers: Vec<serde_json::Value>| serde_json::json!({ "name": name, "usable": usable, "servers": servers, "now": { "rps": 30.0, "errors": 0.6 } });
    let tick = serde_json::json!({
        "at": 1000.0,
        "point": { "rps": 30.0, "connections": 4 },
        "problems": [{ "severity": "warning", "what": "server two of pool api is down", "since": 988.0 }],
        "status": {
            "version": "0.1.0", "pid": 42, "uptime_seconds": 3700.0, "generation": 3,
            "now": { "rps": 30.0, "errors": 0.6, "p50": 1.25, "p95": 9.0, "p99": 30.0, "in_flight": 2 },
            "pools": [
                pool("api", 1, vec![server("one", "up", 10.0), server("two", "down", 20.0)]),
                pool("static", 1, vec![server("three", "up", 5.0)]),
            ],
        },
    });
    let mut state = State::new();
    state.take(Message::Tick(serde_json::from_value(tick).unwrap()), now);
    let event = serde_json::json!({ "seq": 1, "at": 990.0, "severity": "info", "what": "weight set", "who": "uid 0" });
    state.take(Message::Event(serde_json::from_value::<Event>(event).unwrap()), now);
    state
}

fn picture(state: &State, (width, height): (u16, u16), has_colours: bool, now: Instant) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state, Look { has_colours }, now)).unwrap();
    terminal.backend().clone()
}

fn shown(state: &State, now: Instant) -> String {
    lines(picture(state, (80, 24), true, now).buffer()).join("\n")
}

#[test]
fn a_configuration_on_trial_says_when_it_goes_back() {
    let now = Instant::now();
    let mut state = state(now);
    let awaiting = serde_json::from_value(serde_json::json!({ "seconds_left": 34.6 })).unwrap();
    state.tick.as_mut().unwrap().status.awaiting_confirmation = awaiting;
    let parts = [
        "is it fine?",
        "▲ the configuration is on trial, goes back in 35 s unless it is confirmed",
        "▲ warning  server two of pool api is down",
        "pools and servers",
    ];
    check(&shown(&state, now), &parts);
}

fn press(state: &mut State, keys: &str) {
    for key in keys.chars() {
        let code = if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) };
        assert!(state.press(KeyEvent::new(code, KeyModifiers::NONE)), "{key}");
    }
}

/// Asserts that these stand on the screen, in this order.
fn check(screen: &str, parts: &[&str]) {
    let mut rest = screen;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("no {part:?} in its place on\n{screen}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn one_screen_says_what_is_wrong_and_what_every_server_does() {
    let now = Instant::now();
    check(
        &shown(&state(now), now),
        &[
            "Evenkeel 0.1.0   pid 42   up 61 min   generation 3   4 connections",
            "30.0 req/s  2.0 % errors  p50 1.2 ms  p95 9.0 ms  p99 30 ms  2 in flight",
            "▲ warning  server two of pool api is down   for 12 s",
            "api ",
            "1 of 2 up",
            "  one ",
            "● up ",
            "10.0  0.0 %  1.2 ms   30 ms      2    1",
            "  two ",
            "✖ down",
            "static ",
            "what happened",
            "10 s  weight set, by uid 0",
            "q quit",
        ],
    );
}

#[test]
fn keys_filter_sort_and_hide_what_is_up() {
    let now = Instant::now();
    let mut state = state(now);
    press(&mut state, "s");
    check(&shown(&state, now), &["by requests", "two", "one"]);
    press(&mut state, "d");
    let screen = shown(&state, now);
    check(&screen, &["only those that are not up", "two"]);
    assert!(!screen.contains("● up") && !screen.contains("static"), "{screen}");
    press(&mut state, "d/STAT\n");
    let screen = shown(&state, now);
    check(&screen, &["with \"STAT\"", "static", "three"]);
    assert!(!screen.contains("  one "), "{screen}");
    press(&mut state, "/x");
    check(&shown(&state, now), &["none", "/STATx"]);
    assert!(state.press(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE)), "it clears the filter");
    press(&mut state, "?");
    check(&shown(&state, now), &["keys", "only servers that are not up"]);
    assert!(!state.press(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE)));
    assert!(!state.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
}

#[test]
fn a_stream_that_has_stopped_is_said_to_be_stale() {
    let now = Instant::now();
    let mut state = state(now);
    assert!(!shown(&state, now + Duration::from_secs(3)).contains("stale"));
    state.take(Message::Lost("connection refused".into()), now);
    let later = shown(&state, now + Duration::from_millis(4_500));
    check(&later, &["stale for 4 s", "connection refused"]);
}

#[test]
fn without_colour_there_are_words_and_glyphs_alone() {
    let now = Instant::now();
    let state = state(now);
    let colours = |has_colours| {
        let backend = picture(&state, (80, 24), has_colours, now);
        let cells = backend.buffer().content.iter();
        cells.filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!(colours(false), 0);
    assert!(colours(true) > 10);
}

#[test]
fn any_size_can_be_drawn() {
    let now = Instant::now();
    let mut state = state(now);
    for size in [(1, 1), (20, 5), (80, 10), (300, 100)] {
        picture(&state, size, true, now);
    }
    press(&mut state, "?jjjj");
    for size in [(1, 1), (20, 5), (300, 100)] {
        picture(&state, size, true, now);
    }
    picture(&State::new(), (80, 24), true, now);
}

#[test]
fn text_is_cut_only_to_a_width_that_is_known() {
    let now = Instant::now();
    let mut state = state(now);
    for rps in 0..300 {
        state.rates.push_back(rps);
    }
    let tick = state.tick.as_mut().unwrap();
    tick.problems[0].what = format!("server {} of pool api is down", "x".repeat(150));
    let longest = |width| {
        let shown = text(&state, width).unwrap();
        (shown.lines().map(|line| line.chars().count()).max().unwrap(), shown)
    };
    let (width, shown) = longest(None);
    assert!(shown.contains("x of pool api is down   for 12 s\n"), "{shown}");
    assert!((190..230).contains(&width), "no wider than what it says: {width}");
    for (told, expected) in [(100, 100), (10, 80), (9_999, 400)] {
        assert_eq!(longest(Some(told)).0, expected);
    }
    let tick = state.tick.as_mut().unwrap();
    (tick.problems, tick.status.pools) = (Vec::new(), Vec::new());
    let shown = text(&state, None).unwrap();
    assert_eq!(shown.lines().map(|line| line.chars().count()).max(), Some(120));
}
