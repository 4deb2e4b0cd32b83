//! `redis-cli` as a user runs it, through the tcp listener in front of the primary, while an operator makes another server it.

use std::process::{Command, Stdio};

use super::setting::wait_for_states;
use crate::support::Evenkeel;
use crate::support::engines::RedisNode;

/// What `redis-cli` says of a command to the listener.
fn redis_cli(evenkeel: &Evenkeel, words: &[&str]) -> String {
    let port = evenkeel.listener("redis").port().to_string();
    let output =
        Command::new("redis-cli").args(["-p", &port]).args(words).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The port of the server that answers, as it says itself.
fn server(evenkeel: &Evenkeel) -> Option<u16> {
    let info = redis_cli(evenkeel, &["INFO", "server"]);
    info.lines().find_map(|line| line.trim().strip_prefix("tcp_port:")?.parse().ok())
}

#[test]
fn redis_cli_follows_the_primary_from_one_server_to_the_other_and_back() {
    let (mut a, b) = (RedisNode::start("a", None), RedisNode::start("b", None));
    b.follow(&a);
    let evenkeel = Evenkeel::start(&format!(
        "[listener.redis]\nbind = [\"127.0.0.1:0\"]\nprotocol = \"tcp\"\npool = \"app\"\n\
         [pool.app]\nbackends = [{{ address = \"127.0.0.1:{}\", name = \"a\" }}, {{ address = \"127.0.0.1:{}\", name = \"b\" }}]\n\
         health = {{ kind = \"redis\", role = \"primary\", interval = \"100ms\", timeout = \"300ms\" }}\n\
         wait_for_server = \"15s\"\n",
        a.port(),
        b.port()
    ));
    wait_for_states(&evenkeel, "app", "a up, b unfit");
    assert_eq!(
        (redis_cli(&evenkeel, &["SET", "key", "one"]).as_str(), server(&evenkeel)),
        ("OK", Some(a.port()))
    );

    b.promote();
    a.follow(&b);
    wait_for_states(&evenkeel, "app", "a unfit, b up");
    assert_eq!(
        (redis_cli(&evenkeel, &["SET", "key", "two"]).as_str(), server(&evenkeel)),
        ("OK", Some(b.port()))
    );
    assert_eq!(b.command(&["GET", "key"]), "two");

    a.promote();
    b.follow(&a);
    wait_for_states(&evenkeel, "app", "a up, b unfit");
    assert_eq!(
        (redis_cli(&evenkeel, &["SET", "key", "three"]).as_str(), server(&evenkeel)),
        ("OK", Some(a.port()))
    );

    crate::support::eventually("the replica has it", || b.command(&["GET", "key"]) == "three");

    // While no server is the primary a command waits, and then finds what was written.
    a.kill();
    wait_for_states(&evenkeel, "app", "a down, b unfit");
    let port = evenkeel.listener("redis").port().to_string();
    let mut waiting = Command::new("redis-cli");
    let waiting = waiting.args(["-p", &port, "GET", "key"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let waiting = waiting.spawn().unwrap();
    crate::support::eventually("redis-cli waits", || {
        evenkeel.status()["pools"][0]["waiting_for_server"] == 1
    });
    b.promote();
    assert_eq!(waiting.wait_with_output().unwrap().stdout, b"three\n");
    assert_eq!(
        (redis_cli(&evenkeel, &["SET", "key", "four"]).as_str(), server(&evenkeel)),
        ("OK", Some(b.port()))
    );
}
