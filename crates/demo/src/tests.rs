//! What a person sees on the screen and in the picture, and what the servers and the clients do.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use evenkeel_core::health::State;
use evenkeel_terminal::{show_bytes, show_clock, show_count, show_duration};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::draw::draw;
use super::figures::{Event, Figures, Latency, ServerFigures, Work};
use super::kind::Kind;
use super::traffic::{Fault, Traffic};
use super::{listen_address, servers, svg};

fn server(name: &str, state: State, reason: &str, share_now: f64) -> ServerFigures {
    ServerFigures {
        name: name.into(),
        address: "127.0.0.1:5001".into(),
        running: state == State::Up,
        state,
        reason: reason.into(),
        taken: 12_345,
        share: 0.4,
        share_now,
        in_flight: 3,
        work: Work::Requests(
            12_345,
            Latency {
                p50: Duration::from_micros(5_140),
                p95: Duration::from_millis(82),
                p99: Duration::from_millis(1_234),
            },
        ),
    }
}

fn figures() -> Figures {
    Figures {
        command: "curl http://127.0.0.1:8080/".into(),
        admin: Some("http://127.0.0.1:9900".into()),
        elapsed: Duration::from_secs(75),
        left: Some(Duration::from_secs(45)),
        exchanges: 24_690,
        failed: 0,
        rates: vec![0, 100, 200],
        servers: vec![
            server("one", State::Up, "check passed", 0.75),
            server("two", State::Down, "connection <refused>", 0.0),
        ],
        events: vec![
            Event {
                at: Duration::from_secs(61),
                server: "two".into(),
                what: "its process is stopped".into(),
            },
            Event { at: Duration::from_secs(62), server: "two".into(), what: "down: refused".into() },
        ],
        ..Figures::default()
    }
}

fn screen(figures: &Figures, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, figures)).unwrap();
    terminal
}

fn lines(terminal: &Terminal<TestBackend>) -> Vec<String> {
    let buffer = terminal.backend().buffer();
    let line = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..buffer.area.height).map(|y| line(y).trim_end().to_owned()).collect()
}

/// The line that has this text in it.
fn line_with(lines: &[String], text: &str) -> String {
    lines
        .iter()
        .find(|line| line.contains(text))
        .unwrap_or_else(|| panic!("no `{text}` in {lines:#?}"))
        .clone()
}

#[test]
fn the_screen_says_what_to_try_and_what_clients_see() {
    let lines = lines(&screen(&figures(), 80, 24));
    assert!(lines[0].ends_with("1:15 of 2:00"), "{}", lines[0]);
    line_with(&lines, "curl http://127.0.0.1:8080/");
    line_with(&lines, "http://127.0.0.1:9900/metrics");
    line_with(&lines, "24,690 requests   0 failed   200 a second");
    line_with(&lines, "1 stop one   2 start two   q quit");
}

#[test]
fn a_server_has_its_state_in_colour_its_share_as_a_bar_and_its_figures() {
    let terminal = screen(&figures(), 80, 24);
    let lines = lines(&terminal);
    let one = line_with(&lines, "● up");
    assert!(one.contains(&format!("12,345  {}{}", "█".repeat(9), "·".repeat(3))), "{one}");
    assert!(one.ends_with(" 75 %         3 5.1 ms  82 ms  1.2 s"), "{one}");
    let two = line_with(&lines, "● down");
    assert!(two.contains(&"·".repeat(12)), "{two}");
    line_with(&lines, "127.0.0.1:5001  process stopped; connection <refused>");
    let colours: Vec<Color> = terminal
        .backend()
        .buffer()
        .content()
        .iter()
        .filter(|cell| cell.symbol() == "●")
        .map(|cell| cell.fg)
        .collect();
    assert_eq!(colours, [Color::Green, Color::Red]);
}

#[test]
fn the_screen_of_tcp_has_connections_and_bytes() {
    let mut one = server("one", State::Up, "check passed", 1.0);
    one.work = Work::Bytes { received: 2_048, sent: 5 << 20 };
    let figures = Figures {
        kind: Kind::Tcp,
        command: "nc 127.0.0.1 8080".into(),
        exchanges: 9_876,
        reconnects: 8,
        servers: vec![one],
        ..Figures::default()
    };
    let lines = lines(&screen(&figures, 80, 24));
    line_with(&lines, "balances connections over three sample servers");
    line_with(&lines, "nc 127.0.0.1 8080");
    line_with(&lines, "9,876 messages   0 failed");
    line_with(&lines, "8 connections broke, and were opened anew");
    line_with(&lines, "its clients connect again, and no message fails");
    let title = line_with(&lines, "accepted");
    let row = line_with(&lines, "● up");
    for (column, value) in
        [("accepted", "12,345"), ("open", "3"), ("received", "2.0 KiB"), ("sent", "5.0 MiB")]
    {
        let end = title.find(column).unwrap() + column.len();
        // The row has signs of several bytes before its last columns.
        let shown: String = row.chars().take(end).collect();
        assert!(shown.ends_with(&format!(" {value}")), "{column}: {shown:?}");
    }
}

#[test]
fn the_newest_event_is_on_top_and_the_oldest_gives_way() {
    let all = lines(&screen(&figures(), 80, 24));
    let newest = all.iter().position(|line| line.contains("1:02  two    down: refused")).unwrap();
    assert!(all[newest + 1].contains("1:01  two    its process is stopped"), "{all:#?}");
    let low = lines(&screen(&figures(), 80, 21));
    line_with(&low, "down");
    assert!(!low.iter().any(|line| line.contains("its process is stopped")), "{low:#?}");
}

#[test]
fn no_terminal_is_too_small_to_draw_on() {
    for (width, height) in [(1, 1), (3, 200), (200, 3), (20, 10)] {
        screen(&figures(), width, height);
        screen(&Figures::default(), width, height);
    }
}

#[test]
fn the_picture_holds_the_texts_escaped_and_the_bars_as_shapes() {
    let picture = svg::render(&figures()).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert!(picture.contains("connection &lt;refused&gt;<"), "{picture}");
    // Nine cells of 8.4 pixels.
    assert!(picture.contains("<rect class=\"green\"") && picture.contains("width=\"75.6\""), "{picture}");
    assert!(!picture.contains('█'));
}

#[test]
fn figures_are_shown_short() {
    let durations = [0, 400, 9_949, 9_950, 999_499, 999_500, 61_000_000].map(Duration::from_micros);
    assert_eq!(durations.map(show_duration), ["-", "0.4 ms", "9.9 ms", "10 ms", "999 ms", "1.0 s", "61.0 s"]);
    let bytes = [0, 999, 1_000, 1_536, 1_023_487, 1_023_488, 3 << 30];
    assert_eq!(
        bytes.map(show_bytes),
        ["0 B", "999 B", "1.0 KiB", "1.5 KiB", "999.5 KiB", "1.0 MiB", "3072.0 MiB"]
    );
    assert_eq!([0, 999, 1_000, 1_234_567].map(show_count), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!(
        [0, 59, 60, 3_601].map(|s| show_clock(Duration::from_secs(s))),
        ["0:00", "0:59", "1:00", "60:01"]
    );
}

#[test]
fn only_an_address_to_listen_on_is_taken() {
    assert_eq!(listen_address("127.0.0.1:0").unwrap().to_string(), "127.0.0.1:0");
    assert_eq!(listen_address("8081").unwrap().port(), 8081);
    assert!(listen_address("unix:/tmp/x").is_err());
    assert!(listen_address("nowhere").is_err());
}

#[test]
fn a_stopped_server_refuses_and_breaks_its_connections_and_comes_back_on_its_port() {
    let mut all = servers::start_all(Kind::Http).unwrap();
    let one = &mut all[0];
    let mut open = TcpStream::connect(one.address()).unwrap();
    assert!(ask(&mut open).ends_with("This is server one.\n"));
    assert!(ask(&mut open).starts_with("HTTP/1.1 200"), "the connection persists");

    one.stop();
    assert!(!one.is_running());
    assert!(TcpStream::connect(one.address()).is_err(), "no process listens");
    assert!(matches!(open.read(&mut [0]), Ok(0) | Err(_)), "the connection is closed");

    one.start().unwrap();
    let mut again = TcpStream::connect(one.address()).unwrap();
    assert!(ask(&mut again).ends_with("This is server one.\n"));
}

#[test]
fn a_server_of_lines_answers_each_and_stops_as_the_others_do() {
    let mut all = servers::start_all(Kind::Tcp).unwrap();
    let one = &mut all[0];
    let mut open = TcpStream::connect(one.address()).unwrap();
    for said in ["hello", "again"] {
        open.write_all(format!("{said}\n").as_bytes()).unwrap();
        assert_eq!(line(&mut open), format!("This is server one. You said: {said}\n"));
    }
    one.stop();
    assert_eq!(line(&mut open), "", "the connection is closed");
    assert!(TcpStream::connect(one.address()).is_err(), "no process listens");
    one.start().unwrap();
    assert!(TcpStream::connect(one.address()).is_ok());
}

/// A line with its end; nothing if the connection ends.
fn line(stream: &mut TcpStream) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while !line.ends_with(b"\n") && stream.read_exact(&mut byte).is_ok() {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// Sends a request and reads the answer up to the end of its only line.
fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b".\n") {
        let mut chunk = [0; 1024];
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0, "closed in mid-answer: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&chunk[..read]);
    }
    String::from_utf8(answer).unwrap()
}

#[test]
fn the_traffic_counts_answers_and_what_they_took() {
    for kind in [Kind::Http, Kind::Tcp] {
        let servers = servers::start_all(kind).unwrap();
        let traffic = Traffic::start(kind, servers[2].address()).unwrap();
        wait_until(|| traffic.tally().exchanges >= 20);
        let tally = traffic.stop();
        assert_eq!((tally.failed, tally.faults.len(), tally.reconnects), (0, 0, 0));
        let p50 = tally.latency().p50;
        assert!(p50 >= Duration::from_millis(70) && p50 < Duration::from_secs(1), "{p50:?}");
    }
}

#[test]
fn a_connection_of_tcp_that_breaks_is_opened_anew_and_its_message_said_again() {
    let mut servers = servers::start_all(Kind::Tcp).unwrap();
    let traffic = Traffic::start(Kind::Tcp, servers[0].address()).unwrap();
    wait_until(|| traffic.tally().exchanges >= 50);
    servers[0].stop();
    wait_until(|| traffic.tally().faults.contains_key(&Fault::Connect));
    servers[0].start().unwrap();
    let before = traffic.tally();
    wait_until(|| traffic.tally().exchanges >= before.exchanges + 50);
    let tally = traffic.stop();
    assert!(tally.reconnects > 0, "{tally:?}");
    assert_eq!(tally.faults.keys().copied().collect::<Vec<_>>(), [Fault::Connect]);
}

#[test]
fn the_traffic_tells_failures_apart() {
    // An address where no process listens.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for kind in [Kind::Http, Kind::Tcp] {
        assert_eq!(first_fault(kind, closed), Fault::Connect);
        assert_eq!(first_fault(kind, answering(b"SSH-2.0-x\r\n\r\n")), Fault::Malformed);
        assert_eq!(first_fault(kind, answering(b"")), Fault::Broken);
    }
    let first_fault = |target| first_fault(Kind::Http, target);
    assert_eq!(first_fault(answering(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")), Fault::Status(503));
    assert_eq!(first_fault(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")), Fault::Broken);
}

fn first_fault(kind: Kind, target: SocketAddr) -> Fault {
    let traffic = Traffic::start(kind, target).unwrap();
    wait_until(|| traffic.tally().failed > 0);
    let tally = traffic.stop();
    assert_eq!(tally.exchanges, tally.failed);
    *tally.faults.keys().next().unwrap()
}

/// A server that says the same to everyone and closes.
fn answering(text: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // The request is read first: closing with unread bytes would reset the answer away.
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(text);
        }
    });
    address
}

fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not happen within 10 s");
        std::thread::sleep(Duration::from_millis(2));
    }
}
