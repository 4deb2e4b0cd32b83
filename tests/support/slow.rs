//! A secret file that a test can have a reload wait for.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::thread;

use super::Folder;

/// A pipe in the place of a file: its reader waits until the test has written.
pub struct Slow {
    /// Its path.
    pub path: String,
}

impl Slow {
    /// A new one in this folder.
    pub fn new(folder: &Folder) -> Self {
        let path = folder.path("secret");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        Self { path }
    }

    /// Returns once the balancer reads it, and holds the reader for as long as what it returns lives.
    pub fn hold(&self) -> File {
        File::options().write(true).open(&self.path).unwrap()
    }

    /// Lets the present reader go on, and each later one.
    pub fn release(self, held: File) {
        thread::spawn(move || {
            let mut held = held;
            loop {
                // A reader that has what it wants may be gone already.
                let _ = held.write_all(b"keys cookies");
                drop(held);
                held = match File::options().write(true).open(&self.path) {
                    Ok(held) => held,
                    Err(_) => return,
                };
            }
        });
    }
}
