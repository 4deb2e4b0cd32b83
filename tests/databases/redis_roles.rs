//! A Redis primary and its replica: roles, failover, and checks that Redis refuses.

use std::net::TcpStream;

use super::setting::{reason, wait_for_reason, wait_for_states};
use crate::support::engines::RedisNode;
use crate::support::{Evenkeel, Folder, Wire};

fn pool(name: &str, nodes: &[&RedisNode], keys: &str) -> String {
    let server = |node: &&RedisNode| {
        format!("{{ address = \"127.0.0.1:{}\", name = \"{}\" }}", node.port(), node.name())
    };
    let servers: Vec<String> = nodes.iter().map(server).collect();
    format!(
        "[pool.{name}]\nbackends = [{}]\nhealth = {{ kind = \"redis\", interval = \"100ms\", timeout = \"300ms\", \
         fall = 2, {keys} }}\n",
        servers.join(", ")
    )
}

fn before(nodes: &[&RedisNode], secret: Option<&str>) -> Evenkeel {
    let folder = Folder::new();
    let login = secret.map(|secret| format!(", password_file = \"{}\"", folder.write("secret", secret)));
    let login = login.unwrap_or_default();
    let config = format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"writes\"\n{}{}",
        pool("writes", nodes, &format!("role = \"primary\"{login}")),
        pool("reads", nodes, &format!("role = \"replica\"{login}")),
    );
    Evenkeel::start_in(folder, &config)
}

#[test]
fn the_pools_follow_a_failover_and_the_old_primary_stays_out() {
    let (mut a, b) = (RedisNode::start("a", None), RedisNode::start("b", None));
    b.follow(&a);
    let evenkeel = before(&[&a, &b], None);
    wait_for_states(&evenkeel, "writes", "a up, b unfit");
    wait_for_states(&evenkeel, "reads", "a unfit, b up");
    assert_eq!(reason(&evenkeel, "writes", "b"), "replica");
    assert_eq!(evenkeel.server("reads", "b")["role"], "replica");

    a.freeze();
    wait_for_states(&evenkeel, "writes", "a down, b unfit");
    b.promote();
    wait_for_states(&evenkeel, "writes", "a down, b up");
    a.thaw();
    // It says that it is the primary, and does not know better.
    wait_for_states(&evenkeel, "writes", "a unfit, b up");
    assert_eq!(reason(&evenkeel, "writes", "a"), "it says primary, but b has replaced it");
    a.follow(&b);
    wait_for_states(&evenkeel, "reads", "a up, b unfit");
    wait_for_reason(&evenkeel, "writes", "a", "replica");

    // It comes back empty, and without a role to follow.
    a.kill();
    a.resume();
    wait_for_states(&evenkeel, "writes", "a unfit, b up");
    wait_for_reason(
        &evenkeel,
        "writes",
        "a",
        "it says primary, and so does b: nothing shows which one is newer",
    );
}

/// Asks by the inline form of the protocol; `None` if the connection has ended.
fn ask(wire: &mut Wire, command: &str) -> Option<String> {
    wire.send(format!("{command}\r\n"));
    Some(String::from_utf8_lossy(&wire.some().ok().filter(|bytes| !bytes.is_empty())?).into_owned())
}

#[test]
fn sessions_through_a_tcp_listener_follow_the_primary() {
    let (a, b) = (RedisNode::start("a", None), RedisNode::start("b", None));
    b.follow(&a);
    let evenkeel = Evenkeel::start(&format!(
        "[listener.redis]\nbind = [\"127.0.0.1:0\"]\nprotocol = \"tcp\"\npool = \"writes\"\n{}",
        pool("writes", &[&a, &b], "role = \"primary\""),
    ));
    wait_for_states(&evenkeel, "writes", "a up, b unfit");
    let connect = || Wire::new(TcpStream::connect(evenkeel.listener("redis")).unwrap());
    let mut session = connect();
    assert_eq!(ask(&mut session, "SET key one").as_deref(), Some("+OK\r\n"));

    a.freeze();
    b.promote();
    wait_for_states(&evenkeel, "writes", "a down, b up");
    assert_eq!(ask(&mut connect(), "SET key two").as_deref(), Some("+OK\r\n"));
    a.thaw();
    wait_for_states(&evenkeel, "writes", "a unfit, b up");
    // The replaced primary would still take this write.
    assert_eq!(ask(&mut session, "SET key three"), None);
    let record = evenkeel.record(|record| record["ended"] == "role_lost");
    assert_eq!((&record["backend"], &record["protocol"]), (&"a".into(), &"tcp".into()));
    assert_eq!(ask(&mut connect(), "GET key").as_deref(), Some("$3\r\ntwo\r\n"));
}

#[test]
fn a_replica_that_has_lost_its_primary_is_not_fresh() {
    let (mut a, b) = (RedisNode::start("a", None), RedisNode::start("b", None));
    b.follow(&a);
    let evenkeel = before(&[&a, &b], None);
    wait_for_states(&evenkeel, "reads", "a unfit, b up");
    a.kill();
    wait_for_states(&evenkeel, "reads", "a down, b unfit");
    assert!(reason(&evenkeel, "reads", "b").starts_with("replica without its primary: "));
}

#[test]
fn a_password_is_sent_and_a_wrong_one_is_reported() {
    let secret = "sesame-0pen";
    let node = RedisNode::start("a", Some(secret));
    let evenkeel = before(&[&node], Some(secret));
    wait_for_states(&evenkeel, "writes", "a up");
    for (wrong, expected) in
        [(Some("wr0ng-and-secret"), "wrong user or password"), (None, "set `password_file`")]
    {
        let evenkeel = before(&[&node], wrong);
        wait_for_states(&evenkeel, "writes", "a down");
        wait_for_reason(&evenkeel, "writes", "a", expected);
        let told = reason(&evenkeel, "writes", "a");
        assert!(!evenkeel.stderr.text().contains("wr0ng") && !told.contains("wr0ng"));
    }
}

#[test]
fn a_user_of_the_access_control_list_needs_three_commands() {
    let node = RedisNode::start("a", None);
    node.command(&["ACL", "SETUSER", "probe", "on", ">letmein", "+ping", "+role", "+info"]);
    node.command(&["ACL", "SETUSER", "poor", "on", ">letmein", "+ping"]);
    for (user, state, expected) in
        [("probe", "a up", "primary"), ("poor", "a down", "a permission is missing")]
    {
        let folder = Folder::new();
        let secret = folder.write("secret", "letmein");
        let keys = format!("role = \"primary\", user = \"{user}\", password_file = \"{secret}\"");
        let evenkeel = Evenkeel::start_in(folder, &pool("app", &[&node], &keys));
        wait_for_states(&evenkeel, "app", state);
        wait_for_reason(&evenkeel, "app", "a", expected);
    }
}
