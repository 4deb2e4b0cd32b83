//! Many clients of files, and slow ones: none holds up the others, and none costs memory or descriptors for long.

use std::fs::File;
use std::thread;

use super::site::{Site, body_over_http2, pattern};
use crate::support::{Client, Evenkeel, Folder, eventually};

#[test]
fn slow_readers_of_large_files_do_not_delay_others_and_take_no_memory() {
    const SIZE: u64 = 256 << 20;
    let site = Site::new(&[("small", b"small")], "");
    File::create(site.path("large")).unwrap().set_len(SIZE).unwrap();
    site.get("/small");
    let before = site.evenkeel.allocated();
    let slow: Vec<Client> = (0..20)
        .map(|_| {
            let mut client = Client::slow_reader(site.evenkeel.address());
            client.send("GET /large HTTP/1.1\r\nhost: test\r\n\r\n");
            assert_eq!(client.head().unwrap().header("content-length"), Some(SIZE.to_string().as_str()));
            client
        })
        .collect();
    let mut client = site.evenkeel.client();
    for _ in 0..100 {
        assert_eq!(client.get("/small").text(), "small");
    }
    let grown = site.evenkeel.allocated().saturating_sub(before);
    assert!(grown < 32 << 20, "20 slow clients take {grown} bytes");
    drop(slow);
}

#[test]
fn many_clients_at_once_get_what_they_ask_for() {
    let (small, large) = (pattern(5_000), pattern(700_000));
    let site = Site::with(
        "[server]\nworkers = 2\n[listener.web]\nbind = [\"127.0.0.1:0\"]\nhttp = [\"1.1\", \"2\"]\n",
        &[("small", &small), ("large", &large)],
        "",
    );
    thread::scope(|scope| {
        for i in 0..24 {
            let (site, small, large) = (&site, &small, &large);
            scope.spawn(move || {
                if i % 4 == 0 {
                    assert!(body_over_http2(site.evenkeel.client(), "/large") == *large);
                    return;
                }
                let mut client = site.evenkeel.client();
                for _ in 0..10 {
                    assert!(client.get("/small").body.bytes == *small);
                    assert!(client.get("/large").body.bytes == *large);
                }
            });
        }
    });
}

#[test]
fn clients_that_leave_in_the_middle_cost_no_descriptors() {
    let site = Site::new(&[], "");
    for i in 0..50 {
        File::create(site.path(&format!("f{i}"))).unwrap().set_len(64 << 20).unwrap();
    }
    for i in 0..50 {
        let mut client = Client::slow_reader(site.evenkeel.address());
        client.send(format!("GET /f{i} HTTP/1.1\r\nhost: test\r\n\r\n"));
        client.head().unwrap();
    }
    // Files are kept open for requests to come, one for each; connections and what they held are gone.
    eventually("the connections are closed", || {
        site.evenkeel.status()["connections"] == 0 || site.evenkeel.descriptors() < 90
    });
    assert!(site.evenkeel.descriptors() < 120, "{} descriptors", site.evenkeel.descriptors());
}

#[test]
fn files_leave_descriptors_to_others() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("site")).unwrap();
    for i in 0..200 {
        folder.write(&format!("site/f{i}"), &"x".repeat(70_000));
    }
    let root = folder.path("site");
    let evenkeel = Evenkeel::start_with_descriptors(128, &format!("[[route]]\nfiles = \"{root}\"\n"));
    let mut client = evenkeel.client();
    for i in 0..200 {
        assert_eq!(client.get(&format!("/f{i}")).status, 200, "f{i}");
    }
    assert!(evenkeel.descriptors() < 64, "{} descriptors", evenkeel.descriptors());
    assert_eq!(evenkeel.admin("GET", "/status", "").status, 200);
}
