//! `evenkeel top` in a real terminal, which `script` makes, and as text.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Evenkeel, Origin, eventually, pool};

/// What a terminal is sent when a program gives the screen back.
const SCREEN_BACK: &str = "\u{1b}[?1049l";

struct Terminal {
    child: Child,
    keys: ChildStdin,
    output: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn top(evenkeel: &Evenkeel, before: &str) -> Self {
        let admin = evenkeel.admin_address();
        let binary = env!("CARGO_BIN_EXE_evenkeel");
        let command =
            format!("stty rows 24 cols 80; {before} {binary} top --admin {admin}; echo ended with $?");
        let mut child = Command::new("script")
            .args(["-q", "-c", &command, "/dev/null"])
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .env_remove("COLUMNS")
            .env_remove("LINES")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = Arc::new(Mutex::new(Vec::new()));
        let (mut stdout, theirs) = (child.stdout.take().unwrap(), Arc::clone(&output));
        thread::spawn(move || {
            let mut chunk = [0; 4_096];
            while let Ok(length @ 1..) = stdout.read(&mut chunk) {
                theirs.lock().unwrap().extend_from_slice(&chunk[..length]);
            }
        });
        let keys = child.stdin.take().unwrap();
        Self { child, keys, output }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// All that was sent to the terminal.
    fn sent(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    fn shows(&self, text: &str) {
        eventually(&format!("the screen shows {text:?}"), || screen(&self.sent()).contains(text));
    }

    fn ends(&self) {
        eventually("the screen is given back", || self.sent().contains(SCREEN_BACK));
        eventually("it ends well", || self.sent().contains("ended with 0"));
    }

    /// The process that draws.
    fn pid(&self) -> Pid {
        let shell = children(self.child.id())[0];
        Pid::from_raw(children(shell)[0] as i32).unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What stands on a screen of 24 lines that was sent this (ECMA-48): text, places and erasures; all else is colour.
fn screen(sent: &str) -> String {
    let mut cells = vec![[' '; 80]; 24];
    let (mut line, mut column) = (0, 0);
    let mut chars = sent.chars();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' => {
                let (mut sequence, mut end) = (String::new(), ' ');
                for char in chars.by_ref() {
                    if char.is_ascii_alphabetic() {
                        end = char;
                        break;
                    }
                    sequence.push(char);
                }
                let numbers =
                    sequence.trim_start_matches('[').split(';').map(|part| part.parse().unwrap_or(1));
                let numbers: Vec<usize> = numbers.collect();
                if let (true, &[to_line, to_column]) = (end == 'H', &numbers[..]) {
                    (line, column) = (to_line - 1, to_column - 1);
                }
            }
            '\r' => column = 0,
            '\n' => line = (line + 1).min(23),
            char => {
                if let Some(cell) = cells.get_mut(line).and_then(|cells| cells.get_mut(column)) {
                    *cell = char;
                }
                column += 1;
            }
        }
    }
    cells.iter().map(|cells| cells.iter().collect::<String>() + "\n").collect()
}

fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    eventually("the process has a child", || {
        let file = format!("/proc/{pid}/task/{pid}/children");
        let text = std::fs::read_to_string(file).unwrap();
        found = text.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        !found.is_empty()
    });
    found
}

fn evenkeel() -> (Origin, Origin, Evenkeel) {
    let (one, gone) = (Origin::named("one"), Origin::refusing("gone"));
    let health = "health = { kind = \"tcp\", interval = \"50ms\", timeout = \"1s\", fall = 1, rise = 1 }";
    let evenkeel = Evenkeel::start(&pool(&[&one, &gone], health));
    evenkeel.wait_for_state("one", "up");
    evenkeel.wait_for_state("gone", "down");
    (one, gone, evenkeel)
}

#[test]
fn one_screen_is_printed_as_text() {
    let (_one, _gone, evenkeel) = evenkeel();
    let admin = evenkeel.admin_address().to_string();
    let mut shown = String::new();
    eventually("the problem is printed", || {
        let outcome = evenkeel.cli(&["top", "--once", "--admin", &admin]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        shown = outcome.stdout;
        shown.contains("server gone of pool app is down")
    });
    for part in ["is it fine?", "1 of 2 up", "● up", "✖ down", "connection refused", "what happened"] {
        assert!(shown.contains(part), "no {part} in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "no colours: {shown}");
}

#[test]
fn a_process_that_is_not_there_is_said_to_be_so() {
    let outcome = crate::support::cli(&["top", "--once", "--admin", "127.0.0.1:1"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("no process takes connections at 127.0.0.1:1"), "{}", outcome.stderr);
}

#[test]
fn without_a_terminal_nothing_but_the_error_is_written() {
    let (_one, _gone, evenkeel) = evenkeel();
    let outcome = evenkeel.cli(&["top", "--admin", &evenkeel.admin_address().to_string()]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
    let expected = "error: cannot use the terminal: stdout is not a terminal; `--once` needs none";
    assert_eq!(outcome.stderr, expected);
}

#[test]
fn a_terminal_that_does_not_know_its_size_is_taken_to_be_of_the_usual_one() {
    let (_one, _gone, evenkeel) = evenkeel();
    let mut terminal = Terminal::top(&evenkeel, "stty rows 0 cols 0;");
    terminal.shows("server gone of pool app is down");
    terminal.press("q");
    terminal.ends();
}

#[test]
fn it_is_watched_filtered_and_quit_by_keys() {
    let (_one, _gone, evenkeel) = evenkeel();
    let mut terminal = Terminal::top(&evenkeel, "");
    terminal.shows("req/s");
    terminal.shows("server gone of pool app is down");
    terminal.press("d");
    terminal.shows("only those that are not up");
    terminal.press("?");
    terminal.shows("scroll; so do the arrows");
    terminal.press("?q");
    terminal.ends();
}

#[test]
fn the_terminal_is_given_back_at_a_signal() {
    let (_one, _gone, evenkeel) = evenkeel();
    let terminal = Terminal::top(&evenkeel, "NO_COLOR=1");
    terminal.shows("req/s");
    assert!(!terminal.sent().contains("[38;5;"), "NO_COLOR is set");
    kill_process(terminal.pid(), Signal::TERM).unwrap();
    terminal.ends();
}

#[test]
fn it_says_that_it_is_stale_while_the_process_stands_still_and_goes_on_afterwards() {
    let (_one, _gone, evenkeel) = evenkeel();
    let mut terminal = Terminal::top(&evenkeel, "");
    terminal.shows("req/s");
    evenkeel.signal(Signal::STOP);
    terminal.shows("stale for 4 s");
    evenkeel.signal(Signal::CONT);
    terminal.press("d");
    terminal.shows("only those that are not up");
    terminal.press("q");
    terminal.ends();
}
