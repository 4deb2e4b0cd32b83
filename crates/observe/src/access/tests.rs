//! What is in the log, and what becomes of it when its destination fails.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use evenkeel_config::AccessLog as Destination;
use evenkeel_types::RequestIdText;

use super::writer::BATCHES_MAX;
use super::*;

/// A record as one would see it all day.
pub(super) fn ordinary() -> Record<'static> {
    Record {
        unix_ns: 1_795_192_764_007_999_999,
        client: Client::Ip([192, 0, 2, 7].into(), 50_123),
        listener: "web",
        origin: None,
        method: "GET",
        scheme: "http",
        host: "shop.example.com",
        target: b"/api/cart?id=1",
        version: Version::Http11,
        status: 200,
        route: Some("api"),
        pool: Some("app"),
        backend: Some("10.0.0.1:3000"),
        way: None,
        tries: 1,
        total: Duration::from_nanos(1_234_999),
        connect: None,
        first_byte: Some(Duration::from_micros(900)),
        bytes_in: 0,
        bytes_out: 512,
        request_id: const { &RequestIdText::Given(Cow::Borrowed("01J9Z3")) },
        user_agent: Some(b"curl/8.5.0"),
        referer: None,
        ended: Ended::Complete,
        reason: None,
        cache: None,
        trace: None,
        fields: &[],
    }
}

/// A directory of a test's own, gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("evenkeel-log-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn log_to(access: Destination) -> Log {
    Log { access, format: LogFormat::Json, fields: Vec::new(), slow: Duration::from_secs(1) }
}

fn to_file(path: PathBuf) -> (AccessLog, Arc<Registry>) {
    let registry = Registry::new(1);
    let log = log_to(Destination::File(path));
    (AccessLog::start(&log, Arc::clone(&registry)).unwrap(), registry)
}

fn to_descriptor(descriptor: impl Into<std::os::fd::OwnedFd>) -> (AccessLog, Arc<Registry>) {
    let registry = Registry::new(1);
    let output = Output::descriptor(descriptor);
    let log = log_to(Destination::Stdout);
    (AccessLog::start_with(output, &log, Arc::clone(&registry)).unwrap(), registry)
}

/// A log into a pipe, and the pipe's other end.
fn to_pipe() -> (AccessLog, Arc<Registry>, io::PipeReader) {
    let (reader, writer) = io::pipe().unwrap();
    let (log, registry) = to_descriptor(writer);
    (log, registry, reader)
}

/// As a program that shares our standard output may leave it.
fn to_non_blocking_pipe() -> (AccessLog, Arc<Registry>, io::PipeReader) {
    const O_NONBLOCK: i32 = 0o4000;
    let (reader, writer) = io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let writer = fs::OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(path).unwrap();
    let (log, registry) = to_descriptor(writer);
    (log, registry, reader)
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn lines_of_several_workers_arrive_whole_and_complete() {
    let directory = Directory::new();
    let (log, registry) = to_file(directory.file("log"));
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let mut log = log.worker();
            // Together fewer batches than the channel holds, so that nothing needs to be dropped.
            scope.spawn(move || {
                (0..1_000).for_each(|n| log.record(&Record { tries: worker, bytes_in: n, ..ordinary() }))
            });
        }
    });
    log.finish();
    let text = fs::read_to_string(directory.file("log")).unwrap();
    let mut next = [0; 3];
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let worker = line["tries"].as_u64().unwrap() as usize;
        assert_eq!(line["bytes_in"], next[worker], "the lines of one worker keep their order");
        next[worker] += 1;
    }
    assert_eq!(next, [1_000; 3]);
    assert_eq!((registry.access_log_lines.value(), registry.access_log_dropped.value()), (3_000, 0));
}

#[test]
fn lines_wait_for_a_flush_and_no_longer() {
    let directory = Directory::new();
    let (log, registry) = to_file(directory.file("log"));
    let mut worker = log.worker();
    assert!(!worker.pending());
    worker.record(&ordinary());
    assert!(worker.pending());
    worker.flush();
    assert!(!worker.pending());
    eventually("the line is written", || registry.access_log_lines.value() == 1);
    assert_eq!(fs::read_to_string(directory.file("log")).unwrap().lines().count(), 1);
    // Without a flush, lines go out as soon as they fill a batch.
    (0..1_000).for_each(|_| worker.record(&ordinary()));
    eventually("full batches are written", || registry.access_log_lines.value() > 500);
    log.finish();
}

#[test]
fn a_log_that_is_off_takes_nothing_and_starts_nothing() {
    let registry = Registry::new(1);
    let log = log_to(Destination::Off);
    let log = AccessLog::start(&log, Arc::clone(&registry)).unwrap();
    let mut worker = log.worker();
    worker.record(&ordinary());
    assert!(!worker.pending());
    worker.flush();
    log.reopen();
    log.finish();
    assert_eq!((registry.access_log_lines.value(), registry.access_log_dropped.value()), (0, 0));
}

#[test]
fn a_destination_that_blocks_costs_lines_that_are_counted_and_never_time() {
    let (log, registry, reader) = to_pipe();
    let mut worker = log.worker();
    let mut recorded = 0_u64;
    while registry.access_log_dropped.value() == 0 {
        worker.record(&ordinary());
        recorded += 1;
        assert!(recorded < 100_000, "more lines wait than {BATCHES_MAX} batches can hold");
    }
    // At least what may wait was kept before the first line was dropped.
    let line = format_tests::json_line(&ordinary());
    let batches = recorded * line.len() as u64 / BATCH_BYTES as u64;
    assert!(batches >= BATCHES_MAX as u64, "dropped after only {batches} batches");
    drop(worker);

    // Once the pipe is read, what waited comes out, and every line is either there or counted as dropped.
    let lines =
        std::thread::spawn(move || BufReader::new(reader).lines().map_while(Result::ok).count() as u64);
    log.finish();
    assert_eq!(registry.access_log_lines.value() + registry.access_log_dropped.value(), recorded);
    assert_eq!(lines.join().unwrap(), registry.access_log_lines.value());
}

#[test]
fn a_destination_that_stays_blocked_does_not_keep_the_process_from_ending() {
    let (log, registry, reader) = to_pipe();
    let mut worker = log.worker();
    (0..5_000).for_each(|_| worker.record(&ordinary()));
    drop(worker);
    let begun = Instant::now();
    log.finish();
    assert!(begun.elapsed() < Duration::from_secs(8));
    assert!(registry.access_log_lines.value() < 5_000, "the pipe cannot have taken all");
    drop(reader);
}

#[test]
fn a_closed_standard_output_costs_lines_only() {
    let (log, registry, reader) = to_pipe();
    drop(reader);
    let mut worker = log.worker();
    for n in 1..=3 {
        worker.record(&ordinary());
        worker.flush();
        eventually("the line is given up", || registry.access_log_dropped.value() == n);
    }
    assert_eq!(registry.access_log_lines.value(), 0);
    log.finish();
}

#[test]
fn a_full_disk_costs_lines_only() {
    let (log, registry) = to_file("/dev/full".into());
    let mut worker = log.worker();
    (0..1_000).for_each(|_| worker.record(&ordinary()));
    drop(worker);
    log.finish();
    assert_eq!((registry.access_log_lines.value(), registry.access_log_dropped.value()), (0, 1_000));
}

#[test]
fn a_fifo_without_a_reader_does_not_block_the_start() {
    let directory = Directory::new();
    let fifo = directory.file("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let (log, registry) = to_file(fifo.clone());
    let mut worker = log.worker();
    worker.record(&ordinary());
    worker.flush();
    eventually("the line is in the fifo", || registry.access_log_lines.value() == 1);
    let mut line = String::new();
    BufReader::new(fs::File::open(fifo).unwrap()).read_line(&mut line).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["status"], 200);
    log.finish();
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let log = log_to(Destination::File("/nowhere/at/all.log".into()));
    let error = AccessLog::start(&log, Registry::new(1)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn after_a_rotation_lines_go_to_the_new_file() {
    let directory = Directory::new();
    let (current, rotated) = (directory.file("log"), directory.file("log.1"));
    let (log, registry) = to_file(current.clone());
    let mut worker = log.worker();
    worker.record(&Record { status: 201, ..ordinary() });
    worker.flush();
    eventually("the first line is written", || registry.access_log_lines.value() == 1);
    fs::rename(&current, &rotated).unwrap();
    log.reopen();
    eventually("the file is there again", || current.exists());
    worker.record(&Record { status: 202, ..ordinary() });
    drop(worker);
    log.finish();
    assert!(fs::read_to_string(rotated).unwrap().contains("\"status\":201"));
    let text = fs::read_to_string(current).unwrap();
    assert!(text.contains("\"status\":202") && text.lines().count() == 1);
}

#[test]
fn a_rotation_that_fails_keeps_the_old_file() {
    let directory = Directory::new();
    let (parent, moved) = (directory.file("logs"), directory.file("moved"));
    fs::create_dir(&parent).unwrap();
    let (log, registry) = to_file(parent.join("log"));
    fs::rename(&parent, &moved).unwrap();
    log.reopen();
    let mut worker = log.worker();
    worker.record(&ordinary());
    drop(worker);
    log.finish();
    assert_eq!(registry.access_log_lines.value(), 1);
    assert_eq!(fs::read_to_string(moved.join("log")).unwrap().lines().count(), 1);
}

#[test]
fn existing_lines_are_appended_to() {
    let directory = Directory::new();
    fs::write(directory.file("log"), "before\n").unwrap();
    let (log, _) = to_file(directory.file("log"));
    let mut worker = log.worker();
    worker.record(&ordinary());
    drop(worker);
    log.finish();
    let text = fs::read_to_string(directory.file("log")).unwrap();
    assert!(text.starts_with("before\n{") && text.lines().count() == 2);
}

#[test]
fn a_written_buffer_comes_back_to_the_worker_it_came_from() {
    let directory = Directory::new();
    let (log, _) = to_file(directory.file("log"));
    let (mut worker, other) = (log.worker(), log.worker());
    let recycled = |worker: &WorkerLog| worker.sink.as_ref().and_then(|sink| sink.recycled.try_recv().ok());
    worker.record(&ordinary());
    worker.flush();
    eventually("the buffer is back", || {
        recycled(&worker).is_some_and(|buffer| buffer.len() == BATCH_CAPACITY)
    });
    assert!(recycled(&other).is_none());
    log.finish();
}

#[test]
fn a_destination_in_non_blocking_mode_gets_every_line() {
    let (log, registry, reader) = to_non_blocking_pipe();
    let mut worker = log.worker();
    // More than a pipe takes at once, less than what may wait.
    (0..3_000).for_each(|_| worker.record(&ordinary()));
    drop(worker);
    let lines = std::thread::spawn(move || BufReader::new(reader).lines().map_while(Result::ok).count());
    log.finish();
    assert_eq!((registry.access_log_lines.value(), registry.access_log_dropped.value()), (3_000, 0));
    assert_eq!(lines.join().unwrap(), 3_000);
}

#[test]
fn a_line_that_was_cut_off_does_not_spoil_the_next() {
    let (log, registry, reader) = to_non_blocking_pipe();
    let mut worker = log.worker();
    (0..3_000).for_each(|_| worker.record(&ordinary()));
    worker.flush();
    // The writer gives up on a pipe that is not read, somewhere within a line.
    let settled = || registry.access_log_lines.value() + registry.access_log_dropped.value() == 3_000;
    eventually("all lines are written or given up", settled);
    let first = registry.access_log_lines.value();
    assert!(first < 3_000);
    let lines =
        std::thread::spawn(move || BufReader::new(reader).lines().map_while(Result::ok).collect::<Vec<_>>());
    let mut more = 0;
    eventually("lines are taken again", || {
        worker.record(&Record { status: 299, ..ordinary() });
        worker.flush();
        more += 1;
        let done = || registry.access_log_lines.value() + registry.access_log_dropped.value() == 3_000 + more;
        eventually("the line is written or given up", done);
        registry.access_log_lines.value() > first
    });
    drop(worker);
    log.finish();
    let whole = |line: &&String| serde_json::from_str::<serde_json::Value>(line).is_ok();
    let lines = lines.join().unwrap();
    assert_eq!(lines.iter().filter(whole).count() as u64, registry.access_log_lines.value());
    assert!(lines.iter().filter(|line| !whole(line)).count() <= 1, "only the line at the cut may be torn");
    assert!(lines.last().unwrap().contains("\"status\":299"));
}

#[test]
fn the_log_can_be_shared_between_threads_and_a_workers_end_moved_to_one() {
    fn shared<T: Send + Sync>() {}
    fn moved<T: Send>() {}
    shared::<AccessLog>();
    moved::<WorkerLog>();
}
