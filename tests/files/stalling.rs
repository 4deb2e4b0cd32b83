//! A disk that hangs: its files are answered honestly and in time, and all else goes on.

use std::time::Instant;

use super::site::pattern;
use crate::support::stalling::StallingDisk;
use crate::support::{Client, DEADLINE, Evenkeel, Fault, Folder, eventually, ms};

/// More requests than calls that one directory may have under way.
const STUCK: usize = 40;

/// A balancer that serves a disk which may hang, beside a directory that does not. In this order, because a process that
/// waits for the disk cannot end.
struct Served {
    disk: StallingDisk,
    evenkeel: Evenkeel,
}

impl Served {
    /// `None` where nothing can be mounted.
    fn start() -> Option<Self> {
        let disk = StallingDisk::mount(&[("small", b"of the disk".to_vec()), ("large", pattern(8 << 20))])?;
        let folder = Folder::new();
        folder.write("one", "first of the folder");
        folder.write("two", "second of the folder");
        let routes = format!(
            "[[route]]\npath = \"/disk/*\"\nfiles = \"{}\"\nrewrite = {{ strip_prefix = \"/disk\" }}\n\
             [[route]]\npath = \"/folder/*\"\nfiles = \".\"\nrewrite = {{ strip_prefix = \"/folder\" }}\n\
             [[route]]\npath = \"/own\"\nrespond = {{ body = \"own\" }}\n",
            disk.path()
        );
        let evenkeel = Evenkeel::start_in(folder, &routes);
        Some(Self { disk, evenkeel })
    }

    /// Everything but the disk answers.
    #[track_caller]
    fn all_else_goes_on(&self, file: &str, content: &str) {
        let begun = Instant::now();
        assert_eq!(self.evenkeel.get("/own").text(), "own");
        assert_eq!(self.evenkeel.get(file).text(), content);
        assert_eq!(self.evenkeel.admin("GET", "/healthz", "").status, 200);
        assert!(begun.elapsed() < ms(5_000), "it took {:?}", begun.elapsed());
    }
}

#[test]
fn requests_for_a_disk_that_hangs_end_with_504_and_hold_up_no_other() {
    let Some(served) = Served::start() else { return };
    let (disk, evenkeel) = (&served.disk, &served.evenkeel);
    assert_eq!(evenkeel.get("/disk/small").text(), "of the disk");
    served.all_else_goes_on("/folder/one", "first of the folder");

    disk.hang();
    let begun = Instant::now();
    let mut stuck: Vec<Client> = (0..STUCK)
        .map(|at| {
            let mut client = evenkeel.client();
            client.send(format!("GET /disk/{at} HTTP/1.1\r\nhost: test\r\n\r\n"));
            client
        })
        .collect();
    let held = || disk.held_by(evenkeel.pid());
    eventually("calls hang", || held() >= 16);
    // Of the folder this file was never asked for before.
    served.all_else_goes_on("/folder/two", "second of the folder");
    for client in &mut stuck {
        let response = client.answer("GET");
        assert_eq!(response.status, 504, "{}", response.text());
        assert!(response.text().contains("the disk is too slow"), "{}", response.text());
    }
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    let record = evenkeel.record(|record| record["status"] == 504);
    assert_eq!(record["reason"], "the disk did not answer within 10 s");
    assert!(held() <= 16, "{} calls hang", held());

    disk.resume();
    eventually("the disk serves again", || evenkeel.get("/disk/small").text() == "of the disk");
}

#[test]
fn a_file_that_is_sent_when_its_disk_hangs_is_cut_in_time() {
    let Some(served) = Served::start() else { return };
    let (disk, evenkeel) = (&served.disk, &served.evenkeel);
    let mut client = evenkeel.client();
    client.send("GET /disk/large HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.head().unwrap().start, "HTTP/1.1 200 OK");
    assert_eq!(client.exactly(64 * 1024).unwrap(), pattern(64 * 1024));
    disk.hang();
    let begun = Instant::now();
    let fault = loop {
        match client.exactly(1 << 10) {
            Ok(_) => {}
            Err(fault) => break fault,
        }
    };
    served.all_else_goes_on("/folder/two", "second of the folder");
    assert!(matches!(fault, Fault::Reset | Fault::Cut | Fault::Closed), "{fault:?}");
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    let record = evenkeel.record(|record| record["target"] == "/disk/large");
    assert_eq!(record["ended"], "file_aborted", "{record}");
}
