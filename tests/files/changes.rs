//! Files that change while they are served: what is on the disk is seen within a second, and no response mixes two states.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::time::{Duration, Instant};

use super::site::{Site, pattern};
use crate::support::{Client, Fault, eventually};

/// What is seen within a second, on a busy machine.
const SOON: Duration = Duration::from_secs(3);

/// Asks again and again, as a busy client does, until a response is `like` this.
#[track_caller]
fn soon(what: &str, client: &mut Client, target: &str, like: impl Fn(u16, &[u8]) -> bool) {
    let begun = Instant::now();
    eventually(what, || {
        let response = client.get(target);
        like(response.status, &response.body.bytes)
    });
    assert!(begun.elapsed() < SOON, "{what}: only after {:?}", begun.elapsed());
}

#[test]
fn a_file_that_is_written_anew_is_seen() {
    let site = Site::new(&[("small", b"old"), ("large", &pattern(100_000))], "");
    let mut client = site.evenkeel.client();
    let tags = ["/small", "/large"].map(|name| client.get(name).header("etag").unwrap().to_owned());
    site.put("small", "new");
    soon("the same size", &mut client, "/small", |_, body| body == b"new");
    site.put("small", "longer than before");
    soon("another size", &mut client, "/small", |_, body| body == b"longer than before");
    site.put("large", vec![b'x'; 90_000]);
    // Until it was looked at again, the one that became shorter in its place is cut.
    eventually("a large one", || {
        let mut client = site.evenkeel.client();
        client.send("GET /large HTTP/1.1\r\nhost: test\r\n\r\n");
        match client.response("GET") {
            Ok(response) => response.body.bytes.len() == 90_000 && response.body.bytes[0] == b'x',
            Err(Fault::Cut | Fault::Reset) => false,
            Err(fault) => panic!("{fault:?}"),
        }
    });
    for (name, tag) in ["/small", "/large"].iter().zip(tags) {
        assert_ne!(client.get(name).header("etag"), Some(tag.as_str()), "{name}");
    }
}

#[test]
fn a_file_that_another_is_moved_over_is_seen() {
    let site = Site::new(&[("a", b"old"), ("b", &pattern(100_000))], "");
    let mut client = site.evenkeel.client();
    client.get("/a");
    client.get("/b");
    site.put("next", "new");
    fs::rename(site.path("next"), site.path("a")).unwrap();
    site.put("next", vec![b'y'; 200_000]);
    fs::rename(site.path("next"), site.path("b")).unwrap();
    soon("the small one", &mut client, "/a", |_, body| body == b"new");
    soon("the large one", &mut client, "/b", |_, body| body.len() == 200_000);
}

#[test]
fn a_file_that_is_deleted_is_gone_and_one_that_comes_is_there() {
    let site = Site::new(&[("a", b"a"), ("b", &pattern(100_000)), ("dir/index.html", b"i")], "");
    let mut client = site.evenkeel.client();
    for name in ["/a", "/b", "/dir/"] {
        assert_eq!(client.get(name).status, 200);
    }
    fs::remove_file(site.path("a")).unwrap();
    fs::remove_file(site.path("b")).unwrap();
    fs::remove_dir_all(site.path("dir")).unwrap();
    for name in ["/a", "/b", "/dir/"] {
        soon(name, &mut client, name, |status, _| status == 404);
    }
    assert_eq!(client.get("/c").status, 404);
    site.put("c", "c");
    assert_eq!(client.get("/c").text(), "c", "what is missing is looked for each time");
}

#[test]
fn a_root_that_is_switched_by_a_link_is_seen() {
    let site = Site::new(&[("one/a", b"one"), ("two/a", b"two")], "");
    std::os::unix::fs::symlink("one", site.path("current")).unwrap();
    let mut client = site.evenkeel.client();
    assert_eq!(client.get("/current/a").text(), "one");
    std::os::unix::fs::symlink("two", site.path("next")).unwrap();
    fs::rename(site.path("next"), site.path("current")).unwrap();
    soon("the other", &mut client, "/current/a", |_, body| body == b"two");
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_is_cut_and_never_padded() {
    const SIZE: usize = 64 << 20;
    let site = Site::new(&[], "");
    let file = File::create(site.path("a")).unwrap();
    file.set_len(SIZE as u64).unwrap();
    let mut client = Client::slow_reader(site.evenkeel.address());
    client.send("GET /a HTTP/1.1\r\nhost: test\r\n\r\n");
    let head = client.head().unwrap();
    assert_eq!(head.header("content-length"), Some(SIZE.to_string().as_str()));
    file.set_len(1).unwrap();
    match client.body(&head, false) {
        Err(Fault::Cut | Fault::Reset) => {}
        other => panic!("not cut: {:?}", other.map(|body| body.bytes.len())),
    }
    let record = site.evenkeel.record(|record| record["target"] == "/a");
    assert_eq!(record["ended"], "file_aborted");
}

#[test]
fn a_file_that_grows_while_it_is_sent_ends_where_it_said() {
    const SIZE: usize = 8 << 20;
    let content = pattern(SIZE);
    let site = Site::new(&[("a", &content)], "");
    let mut client = Client::slow_reader(site.evenkeel.address());
    client.send("GET /a HTTP/1.1\r\nhost: test\r\n\r\n");
    let head = client.head().unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(site.path("a")).unwrap();
    file.seek(std::io::SeekFrom::End(0)).unwrap();
    file.write_all(b"more").unwrap();
    assert!(client.body(&head, false).unwrap().bytes == content);
    soon("what was added", &mut client, "/a", |_, body| body.len() == SIZE + 4);
}
