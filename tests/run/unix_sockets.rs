//! Unix sockets on both sides.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::{DEADLINE, Evenkeel, Folder, Origin, cli, ok};

#[test]
fn a_server_may_listen_on_a_unix_socket() {
    let folder = Folder::new();
    let path = folder.path("s");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            let _ = stream.write_all(ok("over unix").as_bytes());
        }
    });
    let evenkeel = Evenkeel::start_in(folder, &format!("[pool.app]\nbackends = [\"unix:{path}\"]\n"));
    for _ in 0..3 {
        assert_eq!(evenkeel.get("/").text(), "over unix");
    }
}

#[test]
fn a_listener_may_be_a_unix_socket() {
    let folder = Folder::new();
    let path = folder.path("l");
    let origin = Origin::named("a");
    let _evenkeel = Evenkeel::start_in(
        folder,
        &format!(
            "[listener.web]\nbind = [\"unix:{path}\"]\npool = \"app\"\n[pool.app]\nbackends = [\"{}\"]\n",
            origin.address()
        ),
    );
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("\r\n\r\na"), "{text}");
}

#[test]
fn a_socket_of_a_process_too_busy_to_answer_is_not_taken_away() {
    let folder = Folder::new();
    let path = folder.path("busy");
    let address = SockAddr::unix(&path).unwrap();
    let busy = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    busy.bind(&address).unwrap();
    busy.listen(0).unwrap();
    let mut waiting = Vec::new();
    loop {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        if socket.connect(&address).is_err() {
            break;
        }
        waiting.push(socket);
    }
    let before = fs::metadata(&path).unwrap().ino();
    let file = folder.write(
        "evenkeel.toml",
        &format!(
            "[admin]\nbind = \"off\"\n[listener.web]\nbind = [\"unix:{path}\"]\n[[route]]\nrespond = {{}}\n"
        ),
    );
    let outcome = cli(&["run", "-c", &file]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains(&path) && outcome.stderr.contains("another process"),
        "{}",
        outcome.stderr
    );
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    drop(busy.accept().unwrap());
    UnixStream::connect(&path).unwrap();
}
