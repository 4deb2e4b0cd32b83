//! A new process that does not become ready leaves the old one serving, which says why; and nothing of it is left.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::thread;

use rustix::process::Signal;

use super::setting::{Chain, ask};
use crate::support::cache::is_hit;
use crate::support::disk::{DiskCache, wait_on_disk};
use crate::support::{Folder, Origin, Port, Traffic, eventually, ms, pool};

/// A program for the test in the place of a binary; returns its path.
fn script(chain: &Chain, name: &str, text: &str) -> String {
    let path = chain.folder().write(name, text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn by(binary: &str) -> String {
    format!("{{\"binary\": \"{binary}\"}}")
}

/// Children that a process has; those that have ended and were not waited for count as well.
fn children(pid: u32) -> usize {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of_thread = |thread: std::io::Result<fs::DirEntry>| {
        fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default()
    };
    children.len().max(threads.map(of_thread).map(|text| text.split_whitespace().count()).sum())
}

#[test]
fn whatever_is_wrong_with_the_new_binary_the_old_process_serves_on_and_says_what() {
    let origin = Origin::named("a");
    let mut chain = Chain::start(&format!("[server]\nworkers = 2\n{}", pool(&[&origin], "")));
    let dies = script(&chain, "dies", "#!/bin/sh\necho 'cannot find libfoo.so' >&2\nexit 3\n");
    let silent = script(&chain, "silent", "#!/bin/sh\nexit 0\n");
    let hangs = script(&chain, "hangs", "#!/bin/sh\nexec sleep 600\n");
    let talks = script(&chain, "talks", "#!/bin/sh\ncat /etc/passwd >&0\nexec sleep 600\n");
    let plain = chain.folder().write("plain", "no program");
    let nonsense = script(&chain, "nonsense", "\u{1}\u{2}no program either");
    let others = script(&chain, "others", "#!/bin/sh\nexit 0\n");
    fs::set_permissions(&others, fs::Permissions::from_mode(0o777)).unwrap();
    let traffic = Traffic::paced(chain.address(), 2, ms(1));
    traffic.more(20);
    assert!(chain.refusal(&by(&silent)).contains("ended before it was ready"));
    let pid = chain.pid();
    let before = chain.descriptors();
    for (body, why) in [
        (by(&dies), "ended before it was ready, exit status: 3; it said: cannot find libfoo.so"),
        (by(&silent), "ended before it was ready, exit status: 0"),
        (
            format!("{{\"binary\": \"{hangs}\", \"timeout_seconds\": 1}}"),
            "was not ready within 1s, and was ended",
        ),
        (by(&talks), "no message of an Evenkeel"),
        (by(&plain), "Permission denied"),
        (by(&nonsense), "Exec format error"),
        (by("/no/such/file"), "cannot read /no/such/file: No such file or directory"),
        (by("/tmp"), "/tmp is not a file"),
        (by("evenkeel"), "`evenkeel` is not an absolute path"),
        (by(&others), "can be written by everyone"),
        (by("/bin/cat"), "ended before it was ready"),
    ] {
        let said = chain.refusal(&body);
        assert!(said.contains(why), "{body}: {said}");
        eventually("no child is left", || children(pid) == 0);
    }
    eventually("no descriptor is left", || chain.descriptors() <= before + 2);
    traffic.more(50);
    let tally = traffic.stop();
    assert!(tally.lost.is_empty(), "{:?}", tally.lost);
    assert!(chain.metric("evenkeel_upgrades_total", &["result=\"failure\""]) >= 11.0);
    chain.stderr.wait_for("the reason in the log", |line| {
        line.contains("not upgraded, this process serves on") && line.contains("libfoo")
    });
    chain.upgrade();
    assert_eq!(chain.metric("evenkeel_upgrades_total", &["result=\"failure\""]), 12.0, "they are counted on");
}

#[test]
fn a_program_that_is_no_evenkeel_is_ended_soon_and_does_not_fill_the_log() {
    let origin = Origin::named("a");
    let mut chain = Chain::start(&pool(&[&origin], ""));
    let shouts = script(&chain, "shouts", "#!/bin/sh\nexec yes noise >&2\n");
    let said = chain.refusal(&format!("{{\"binary\": \"{shouts}\", \"timeout_seconds\": 600}}"));
    assert!(said.contains("ended before it was ready"), "{said}");
    assert!(said.len() < 8 << 10, "{} bytes", said.len());
    let talks = script(&chain, "talks", "#!/bin/sh\nexec yes chatter\n");
    let said = chain.refusal(&format!("{{\"binary\": \"{talks}\", \"timeout_seconds\": 600}}"));
    assert!(said.contains("sent no message within 10s, and was ended: is it an Evenkeel?"), "{said}");
    chain.get("/after");
    chain.record(|record| record["target"] == "/after");
    assert_eq!(chain.stdout.count(|line| line.contains("chatter")), 0);
    let logged: usize = chain.stderr.lines().iter().map(String::len).sum();
    assert!(logged < 100 << 10, "{logged} bytes");
    chain.upgrade();
    chain.get("/upgraded");
    chain.record(|record| record["target"] == "/upgraded");
}

#[test]
fn a_binary_is_named_over_the_control_socket_or_with_the_token_alone() {
    let origin = Origin::named("a");
    let mut chain = Chain::start(&pool(&[&origin], ""));
    let dies = script(&chain, "dies", "#!/bin/sh\nexit 3\n");
    let refused = chain.admin("POST", "/upgrade", &by(&dies));
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.text().contains("over the control socket, or with the token"), "{}", refused.text());
    assert_eq!(chain.stderr.count(|line| line.contains("upgrade asked for")), 0);
    assert!(chain.refusal(&by(&dies)).contains("exit status: 3"), "the control socket is the operator's");
    chain.upgrade();

    let folder = Folder::new();
    let token = folder.write("token", "correct horse battery\n");
    let text = format!("[admin]\nbind = \"127.0.0.1:0\"\ntoken_file = \"{token}\"\n{}", pool(&[&origin], ""));
    let proven = Chain::start(&text);
    let fields = "authorization: Bearer correct horse battery\r\n";
    let answer = proven.admin_with("POST", "/upgrade", fields, &by(&dies));
    assert!(answer.status == 422 && answer.text().contains("exit status: 3"), "{}", answer.text());
}

#[test]
fn a_broken_configuration_or_an_address_in_use_is_what_the_new_process_says() {
    let origin = Origin::named("a");
    let good = pool(&[&origin], "");
    let mut chain = Chain::start(&good);
    chain.rewrite(&good.replace("backends", "backend"));
    let said = chain.refusal("{}");
    assert!(said.contains("backend") && said.contains("evenkeel.toml:"), "{said}");
    let outcome = chain.cli(&["upgrade"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.starts_with("error: not upgraded: `[pool.NAME]` has"), "{}", outcome.stderr);
    let port = Port::reserve();
    let _taken = port.listen();
    let listener = "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n";
    chain.rewrite(&format!(
        "{listener}[listener.more]\nbind = \"{}\"\npool = \"app\"\n{good}",
        port.address()
    ));
    let said = chain.refusal("{}");
    assert_eq!(said, format!("cannot listen on {}: another process already does", port.address()));
    let missing = format!("{good}health = {{ path = \"/\" }}\n[log]\naccess = \"/no/such/folder/log\"\n");
    chain.rewrite(&missing);
    assert!(chain.refusal("{}").contains("cannot write the access log"));
    assert_eq!(chain.get("/").text(), "a");
    chain.rewrite(&good);
    chain.upgrade();
    assert_eq!(chain.get("/").text(), "a");
}

#[test]
fn a_control_socket_that_cannot_be_bound_is_known_before_a_connection_is_accepted() {
    let origin = Origin::named("a");
    let good = pool(&[&origin], "");
    let mut chain = Chain::start(&good);
    let path = chain.folder().path("control.sock");
    chain.rewrite(&format!("[admin]\nbind = \"127.0.0.1:0\"\nsocket = \"/no/such/dir/x.sock\"\n{good}"));
    let said = chain.refusal("{}");
    assert!(said.contains("cannot open the control socket /no/such/dir/x.sock: No such file"), "{said}");
    let text = chain.stderr.text();
    assert_eq!(text.matches(" listening on ").count(), 1, "the new process did not accept: {text}");
    // One that is ended before it serves leaves its socket behind, under a passing name; the next one removes it.
    let gone = Port::reserve();
    let with_socket = format!("[admin]\nbind = \"127.0.0.1:0\"\nsocket = \"{path}\"\n{good}");
    let health = "health = { kind = \"tcp\", interval = \"50ms\", fall = 1 }\n";
    let down = with_socket.replace(&origin.address().to_string(), &gone.address().to_string()) + health;
    chain.rewrite(&down);
    assert!(chain.refusal("{\"timeout_seconds\": 1}").contains("was not ready within 1s"));
    assert!(!fs::exists(&path).unwrap(), "it has its name when the process serves");
    chain.rewrite(&with_socket);
    chain.upgrade();
    let entries = fs::read_dir(chain.folder().path("")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let sockets: Vec<_> = names.filter(|name| name.starts_with("control.sock")).collect();
    assert_eq!(sockets, ["control.sock"]);
}

#[test]
fn a_pool_that_would_be_without_a_server_is_what_the_new_process_waits_for() {
    let (a, gone) = (Origin::named("a"), Port::reserve());
    let health = "health = { kind = \"tcp\", interval = \"50ms\", fall = 1 }";
    let mut chain = Chain::start(&pool(&[&a], health));
    chain.wait_for_state("a", "up");
    chain.rewrite(&pool(&[&a], health).replace(&a.address().to_string(), &gone.address().to_string()));
    let said = chain.refusal("{\"timeout_seconds\": 2}");
    let why = "was not ready within 2s, and was ended: pool app, which has a usable server in the old process, has none in the new one";
    assert!(said.contains(why), "{said}");
    assert_eq!(chain.get("/").text(), "a");
}

#[test]
fn the_binary_is_the_one_at_the_path_by_which_the_process_was_started() {
    let origin = Origin::named("a");
    let (mut chain, binary) = Chain::start_replaceable(&pool(&[&origin], ""));
    fs::remove_file(&binary).unwrap();
    assert!(chain.refusal("{}").contains("cannot read"), "it does not start what was deleted");
    script(&chain, "evenkeel", "#!/bin/sh\necho 'the newer one' >&2\nexit 1\n");
    assert!(chain.refusal("{}").contains("it said: the newer one"));
    fs::remove_file(&binary).unwrap();
    symlink(env!("CARGO_BIN_EXE_evenkeel"), &binary).unwrap();
    chain.upgrade();
    assert_eq!(chain.get("/").text(), "a");
}

#[test]
fn one_upgrade_at_a_time_and_no_reload_meanwhile() {
    let origin = Origin::named("a");
    let mut chain = Chain::start(&pool(&[&origin], ""));
    let hangs = script(&chain, "hangs", "#!/bin/sh\nexec sleep 600\n");
    let (socket, body) = (chain.socket(), format!("{{\"binary\": \"{hangs}\", \"timeout_seconds\": 3}}"));
    let first = thread::spawn(move || ask(&socket, "", &body));
    chain.stderr.wait_for("the upgrade is under way", |line| line.contains("the new process is started"));
    assert_eq!(chain.refusal("{}"), "another upgrade is under way");
    let reload = chain.admin("POST", "/reload", "");
    assert!(reload.text().contains("an upgrade of the binary is under way"), "{}", reload.text());
    let drain = chain.admin("PUT", "/pools/app/servers/a", "{\"state\": \"drain\"}");
    assert_eq!(drain.status, 422, "the new process would not know of it");
    assert_eq!(chain.get("/").text(), "a");
    assert!(first.join().unwrap().contains("was not ready within 3s"));
    assert_eq!(chain.admin("POST", "/reload", "").status, 200);
    chain.upgrade();
}

#[test]
fn a_signal_to_end_gives_the_upgrade_up() {
    let origin = Origin::named("a");
    let chain = Chain::start(&pool(&[&origin], ""));
    let hangs = script(&chain, "hangs", "#!/bin/sh\nexec sleep 600\n");
    let (socket, body) = (chain.socket(), by(&hangs));
    let asked = thread::spawn(move || ask(&socket, "", &body));
    chain.stderr.wait_for("the upgrade is under way", |line| line.contains("the new process is started"));
    let mut chain = chain;
    chain.signal(Signal::TERM);
    assert_eq!(
        chain.wait_exit().code(),
        Some(0),
        "it leaves in good order, and nothing has its output any more"
    );
    let _ = asked.join();
    assert!(chain.stderr.text().contains("given up, because a signal ends this process"));
}

#[test]
fn the_disk_cache_is_used_on_after_an_upgrade_that_has_failed() {
    let kept = |_: &_, wire: &mut crate::support::Wire| {
        wire.send(crate::support::cache::fresh("", "kept"));
    };
    let (origin, cache) = (Origin::start(kept), DiskCache::new());
    let rules = "{ ttl = \"10m\" }";
    let mut chain = Chain::of(cache.start(&origin, rules));
    assert_eq!(chain.get("/a").text(), "kept");
    wait_on_disk(&chain, 1);
    // It has got the directory by the time at which it waits for the server.
    let health = "health = { kind = \"tcp\", interval = \"50ms\", fall = 1 }\n";
    let gone = Port::reserve();
    let text = cache.text(&origin, rules);
    chain.rewrite(&(text.replace(&origin.address().to_string(), &gone.address().to_string()) + health));
    assert!(chain.refusal("{\"timeout_seconds\": 2}").contains("was not ready within 2s"));
    assert!(is_hit(&chain.get("/a")));
    assert_eq!(chain.get("/b").text(), "kept");
    wait_on_disk(&chain, 2);
    chain.rewrite(&text);
    chain.upgrade();
    eventually("both are found again", || is_hit(&chain.get("/a")) && is_hit(&chain.get("/b")));
    assert_eq!(origin.count(), 2);
}
