//! The access log as messages of syslog: over the local socket and over UDP, with a daemon that stalls, dies and comes back.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{DEADLINE, Evenkeel, Folder, Origin, eventually, pool};

/// A daemon at this path.
fn daemon(path: &str) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

fn received(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 65_536];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// A balancer that logs to the socket `log` in `folder`.
fn start(folder: Folder, origin: &Origin) -> Evenkeel {
    let path = folder.path("log");
    Evenkeel::start_in(folder, &format!("[log]\naccess = \"syslog:{path}\"\n{}", pool(&[origin], "")))
}

/// The parts of a message of RFC 5424, and its line.
fn parts(message: &str) -> (Vec<&str>, Value) {
    let mut parts: Vec<_> = message.splitn(8, ' ').collect();
    let line = parts.pop().unwrap();
    (parts, serde_json::from_str(line).unwrap())
}

#[test]
fn each_line_is_a_message_of_rfc_5424() {
    let (folder, origin) = (Folder::new(), Origin::named("a"));
    let socket = daemon(&folder.path("log"));
    let evenkeel = start(folder, &origin);
    evenkeel.get("/first?a=\"b\"");
    let message = received(&socket);
    let (parts, line) = parts(&message);
    assert_eq!((parts[0], &parts[3..4], parts[5], parts[6]), ("<30>1", &["evenkeel"][..], "access", "-"));
    assert!(parts[1].len() == "2026-01-01T00:00:00.000Z".len() && parts[1].ends_with('Z'), "{}", parts[1]);
    assert!(!parts[2].is_empty() && parts[4].parse::<u32>().is_ok(), "{message}");
    assert_eq!((&line["target"], &line["status"]), (&"/first?a=\"b\"".into(), &200.into()));
    assert!(!message.contains('\n'));
    eventually("it is counted", || evenkeel.metric("evenkeel_access_log_lines_total", &[]) == 1.0);
}

#[test]
fn messages_go_over_udp_too() {
    let (socket, origin) = (UdpSocket::bind("127.0.0.1:0").unwrap(), Origin::named("a"));
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let to = socket.local_addr().unwrap();
    let evenkeel = Evenkeel::start(&format!("[log]\naccess = \"syslog://{to}\"\n{}", pool(&[&origin], "")));
    evenkeel.get("/udp");
    let mut buffer = [0; 65_536];
    let length = socket.recv(&mut buffer).unwrap();
    let message = std::str::from_utf8(&buffer[..length]).unwrap();
    assert_eq!(parts(message).1["target"], "/udp");
}

#[test]
fn a_daemon_that_dies_and_comes_back_costs_lines_alone() {
    let (folder, origin) = (Folder::new(), Origin::named("a"));
    let path = folder.path("log");
    let socket = daemon(&path);
    let evenkeel = start(folder, &origin);
    evenkeel.get("/before");
    assert!(received(&socket).contains("/before"));
    drop(socket);
    std::fs::remove_file(&path).unwrap();
    eventually("lines are lost", || {
        assert_eq!(evenkeel.get("/lost").status, 200);
        evenkeel.metric("evenkeel_access_log_dropped_total", &[]) > 0.0
    });
    evenkeel.stderr.wait_for("the loss is logged", |line| line.contains("cannot write the access log"));
    let socket = daemon(&path);
    socket.set_nonblocking(true).unwrap();
    eventually("lines come again", || {
        evenkeel.get("/again");
        let mut buffer = [0; 65_536];
        socket.recv(&mut buffer).is_ok_and(|n| String::from_utf8_lossy(&buffer[..n]).contains("/again"))
    });
    // Once all lines that were written together have been taken.
    eventually("that is logged", || {
        evenkeel.get("/again");
        while socket.recv(&mut [0; 65_536]).is_ok() {}
        evenkeel.stderr.count(|line| line.contains("takes lines again")) == 1
    });
    assert_eq!(evenkeel.stderr.count(|line| line.contains("cannot write the access log")), 1);
}

#[test]
fn a_daemon_that_is_not_there_yet_does_not_keep_the_process_from_starting() {
    let (folder, origin) = (Folder::new(), Origin::named("a"));
    let path = folder.path("log");
    let evenkeel = start(folder, &origin);
    assert_eq!(evenkeel.get("/").status, 200);
    eventually("the line is lost", || evenkeel.metric("evenkeel_access_log_dropped_total", &[]) == 1.0);
    let socket = daemon(&path);
    evenkeel.signal(Signal::USR1);
    evenkeel.get("/there");
    assert!(received(&socket).contains("/there"), "the signal has it look at once");
}

#[test]
fn a_daemon_that_takes_nothing_slows_nothing_down() {
    let (folder, origin) = (Folder::new(), Origin::named("a"));
    let socket = daemon(&folder.path("log"));
    let evenkeel = start(folder, &origin);
    let mut client = evenkeel.client();
    let mut n = 0;
    eventually("lines are lost", || {
        for _ in 0..200 {
            assert_eq!(client.get("/stalled").status, 200);
        }
        n += 200;
        evenkeel.metric("evenkeel_access_log_dropped_total", &[]) > 0.0
    });
    socket.set_read_timeout(Some(crate::support::ms(500))).unwrap();
    let mut buffer = [0; 65_536];
    while socket.recv(&mut buffer).is_ok() {}
    let taken = || {
        let counted = |name| evenkeel.metric(name, &[]);
        counted("evenkeel_access_log_lines_total") + counted("evenkeel_access_log_dropped_total")
    };
    eventually("each line is counted once", || {
        while socket.recv(&mut buffer).is_ok() {}
        taken() == f64::from(n)
    });
}
