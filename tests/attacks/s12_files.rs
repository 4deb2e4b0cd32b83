//! S12: paths that could lead out of the directory of a route with `files`. Whatever is asked for, nothing outside is served, and nothing
//! hangs.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::files::site::Site;
use crate::support::h2::frames::{flag, headers, kind};
use crate::support::h2::{Peer, fields};

const SECRET: &str = "this is outside";

/// A directory with something secret beside it, and in it.
fn site(keys: &str) -> Site {
    let site = Site::new(
        &[
            ("a.txt", b"inside"),
            ("deep/er/b.txt", b"inside"),
            (".env", SECRET.as_bytes()),
            (".git/config", SECRET.as_bytes()),
            ("deep/.htpasswd", SECRET.as_bytes()),
            (".well-known/security.txt", b"inside"),
        ],
        keys,
    );
    fs::write(site.path("../secret.txt"), SECRET).unwrap();
    site
}

/// Ways to say `..`, and what looks like it.
const UPS: &[&str] = &[
    "..",
    "%2e%2e",
    "%2E%2E",
    ".%2e",
    "%2e.",
    "..%00",
    "..%0a",
    "%252e%252e",
    "%c0%ae%c0%ae",
    "%e0%80%ae%e0%80%ae",
    "%f0%80%80%ae%f0%80%80%ae",
    "..;",
    "..;x=1",
    "..%3b",
    "..%20",
    "..%09",
    "%uff0e%uff0e",
    "\u{ff0e}\u{ff0e}",
    "....",
    "...",
    ".",
    "%2e",
    "..%5c",
    "..\\",
    "..%255c",
];

/// Ways to say `/`, and what looks like it.
const SLASHES: &[&str] =
    &["/", "//", "%2f", "%2F", "%5c", "\\", "%252f", "%c0%af", "%e0%80%af", "/./", "%00/", "/%00"];

/// What needs no `..`.
const OTHERS: &[&str] = &[
    "//etc/passwd",
    "///etc/passwd",
    "/%2fetc/passwd",
    "/%2Fetc%2Fpasswd",
    "/etc/passwd",
    "/proc/self/environ",
    "/proc/self/root/etc/passwd",
    "/dev/fd/0",
    "/a.txt/../../secret.txt",
    "/a.txt%00.html",
    "/a.txt%00",
    "/%00",
    "/a.txt/",
    "/a.txt/.",
    "/a.txt//",
    "/a.txt::$DATA",
    "/C:/Windows/win.ini",
    "/~root",
    "/file:///etc/passwd",
    "/.env",
    "/%2eenv",
    "/.git/config",
    "/deep/.htpasswd",
    "/deep/%2ehtpasswd",
    "/.well-known/../.env",
    "/.well-known/%2e%2e/.env",
    "/.well-known/..%2f.env",
    "*",
];

/// Everything that is tried.
fn corpus() -> Vec<String> {
    let mut paths: Vec<String> = OTHERS.iter().map(|path| (*path).to_owned()).collect();
    for up in UPS {
        for slash in SLASHES {
            for times in [1, 2, 8] {
                let climb = format!("{up}{slash}").repeat(times);
                paths.push(format!("/{climb}secret.txt"));
                paths.push(format!("/deep/er{slash}{climb}{climb}secret.txt"));
            }
            paths.push(format!("/{}etc/passwd", format!("{up}{slash}").repeat(12)));
        }
    }
    paths.push(format!("/{}", "a".repeat(300)));
    paths.push(format!("/{}a.txt", "deep/".repeat(800)));
    paths.push(format!("/{}a.txt", "%2e/".repeat(800)));
    paths
}

#[test]
fn no_path_leads_out_of_the_directory() {
    for keys in ["", ", listing = true, precompressed = true"] {
        let site = site(keys);
        for path in corpus() {
            let response = site.get(&path);
            let text = response.text();
            assert!(!text.contains(SECRET) && !text.contains("root:"), "{path}: {text}");
            let is_inside = response.status == 200 && (text == "inside" || text.starts_with("<!DOCTYPE"));
            assert!(
                is_inside || matches!(response.status, 308 | 400 | 404 | 414 | 431),
                "{path}: {}",
                response.status
            );
            let shows = ["site", "/work", "target"].iter().any(|part| text.contains(part));
            assert!(!shows, "{path} tells where the directory is: {text}");
        }
        assert_eq!(site.get("/a.txt").text(), "inside");
        assert_eq!(site.get("/deep/er/../../a.txt").text(), "inside", "removed before it is looked up");
        assert_eq!(site.get("/.well-known/security.txt").text(), "inside");
    }
}

#[test]
fn no_path_leads_out_of_the_directory_over_http2() {
    let listener = "[listener.web]\nbind = [\"127.0.0.1:0\"]\nhttp = [\"2\"]\n";
    let site = Site::with(listener, &[("a.txt", b"inside")], "");
    fs::write(site.path("../secret.txt"), SECRET).unwrap();
    for path in corpus().iter().step_by(7) {
        let mut peer = Peer::greeted(site.evenkeel.client());
        let names = [(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", path)];
        peer.send(headers(1, flag::WHOLE, names.map(|(name, value)| fields::literal(name, value)).concat()))
            .unwrap();
        let mut body = Vec::new();
        while let Ok(frame) = peer.next() {
            body.extend_from_slice(&frame.payload);
            if frame.kind == kind::RST_STREAM
                || frame.kind == kind::GOAWAY
                || matches!(frame.kind, kind::DATA | kind::HEADERS) && frame.has(flag::END_STREAM)
            {
                break;
            }
        }
        assert!(!String::from_utf8_lossy(&body).contains(SECRET), "{path}");
    }
}

#[test]
fn links_are_followed_within_the_directory_and_not_out_of_it() {
    let site = site("");
    let link = |to: &str, name: &str| symlink(to, site.path(name)).unwrap();
    link("a.txt", "inside");
    link("er/b.txt", "deep/relative");
    link("../a.txt", "deep/up");
    link(site.path("a.txt").to_str().unwrap(), "absolute");
    link("deep", "folder");
    for name in ["inside", "deep/relative", "deep/up", "absolute", "folder/er/b.txt"] {
        assert_eq!(site.get(&format!("/{name}")).text(), "inside", "{name}");
    }
    link("../secret.txt", "out");
    link(site.path("../secret.txt").to_str().unwrap(), "absolute-out");
    link("..", "parent");
    link("../../secret.txt", "deep/out");
    link("out", "twice");
    link("/etc", "etc");
    link("/proc/self", "proc");
    link("/proc/self/root", "magic");
    link("/", "everything");
    link("loop", "loop");
    link("nowhere", "dangling");
    for path in [
        "/out",
        "/absolute-out",
        "/parent/secret.txt",
        "/deep/out",
        "/twice",
        "/etc/passwd",
        "/proc/environ",
        "/magic/etc/passwd",
        "/everything/etc/passwd",
        "/loop",
        "/dangling",
        "/parent/site/a.txt/x",
        "/proc/cwd/Cargo.toml",
    ] {
        let response = site.get(path);
        assert_eq!(response.status, 404, "{path}: {}", response.text());
        assert!(!response.text().contains(SECRET), "{path}");
    }
}

#[test]
fn a_link_that_changes_all_the_time_never_leads_out() {
    /// Each is asked for once, so that none comes from memory.
    const NAMES: usize = 1_000;
    let site = site("");
    fs::create_dir(site.path("real")).unwrap();
    for i in 0..NAMES {
        fs::write(site.path(&format!("real/f{i}")), "inside").unwrap();
        fs::write(site.path(&format!("../f{i}")), SECRET).unwrap();
    }
    symlink("real", site.path("flip")).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for to in ["..", "real"] {
                    symlink(to, site.path("next")).unwrap();
                    fs::rename(site.path("next"), site.path("flip")).unwrap();
                }
            }
        });
        let (mut inside, mut client) = (0, site.evenkeel.client());
        for i in 0..NAMES {
            let response = client.get(&format!("/flip/f{i}"));
            match response.status {
                200 => {
                    assert_eq!(response.text(), "inside", "f{i}");
                    inside += 1;
                }
                status => assert_eq!(status, 404, "f{i}"),
            }
        }
        is_over.store(true, Ordering::Relaxed);
        assert!((1..NAMES).contains(&inside), "{inside} of {NAMES} were inside");
    });
}

#[test]
fn what_is_no_file_is_not_served_and_holds_nothing_up() {
    let site = site(", listing = true");
    mknodat(CWD, site.path("fifo"), FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    let _socket = UnixListener::bind(site.path("socket")).unwrap();
    symlink("/dev/zero", site.path("zero")).unwrap();
    symlink("/dev/stdin", site.path("stdin")).unwrap();
    // Only some users may make devices.
    let _ = mknodat(
        CWD,
        site.path("null"),
        FileType::CharacterDevice,
        Mode::from_raw_mode(0o666),
        rustix::fs::makedev(1, 3),
    );
    fs::create_dir(site.path("index")).unwrap();
    mknodat(CWD, site.path("index/index.html"), FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    let mut client = site.evenkeel.client();
    for _ in 0..20 {
        for name in ["fifo", "socket", "zero", "stdin", "null"] {
            assert_eq!(client.get(&format!("/{name}")).status, 404, "{name}");
        }
        let index = client.get("/index/");
        assert!(index.status == 404 || !index.text().contains("href=\"./"), "{}", index.text());
    }
    assert_eq!(client.get("/a.txt").text(), "inside");
}
