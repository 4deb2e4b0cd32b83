//! A thread that reads the stream, and opens it again when it ends.

use std::io::{BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::message::Message;
use crate::stream::read;

/// Messages that the screen has not taken yet.
const MESSAGES_MAX: usize = 64;
/// Between two attempts to open the stream.
const AGAIN: Duration = Duration::from_secs(1);

/// Opens `/live` with `open`, which takes a path, again and again until the receiver is gone.
pub fn start<R: Read>(open: impl Fn(&str) -> Result<R, String> + Send + 'static) -> Receiver<Message> {
    let (sender, receiver) = sync_channel(MESSAGES_MAX);
    thread::spawn(move || follow(open, &sender));
    receiver
}

fn follow<R: Read>(open: impl Fn(&str) -> Result<R, String>, sender: &SyncSender<Message>) {
    let mut last = 0;
    loop {
        let why = match open(&format!("/live?events_after={last}")) {
            Err(why) => why,
            Ok(stream) => {
                let read = read(BufReader::new(stream), |message| {
                    if let Message::Event(event) = &message {
                        last = event.seq;
                    }
                    sender.send(message).is_ok()
                });
                match read {
                    Ok(()) => "the process closed the stream".into(),
                    Err(fault) => fault.to_string(),
                }
            }
        };
        // Another process numbers its events from 1 again; if it has not reached this number, it sends all of them.
        if sender.send(Message::Lost(why)).is_err() {
            return;
        }
        thread::sleep(AGAIN);
    }
}
