//! The lines that a process writes, kept as they come so that tests can look at them and wait for them.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::eventually;

/// The lines of one output stream.
#[derive(Clone)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Log {
    /// Reads `stream` on a thread of its own until it ends.
    pub fn of(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let theirs = lines.clone();
        let reader = thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(stream.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                theirs.lock().unwrap().push(text);
                line.clear();
            }
        });
        Self { lines, reader: Arc::new(Mutex::new(Some(reader))) }
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// All lines so far, as one text.
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// How many lines so far are like this.
    pub fn count(&self, like: impl Fn(&str) -> bool) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| like(line)).count()
    }

    /// The first line that is like this; waits for it.
    pub fn wait_for(&self, what: &str, like: impl Fn(&str) -> bool) -> String {
        let mut found = None;
        eventually(what, || {
            found = self.lines.lock().unwrap().iter().find(|line| like(line)).cloned();
            found.is_some()
        });
        found.unwrap_or_default()
    }

    /// Waits until the stream has ended and everything was read.
    pub fn ended(&self) {
        if let Some(reader) = self.reader.lock().unwrap().take() {
            reader.join().unwrap();
        }
    }
}
