//! TLS to databases: checks verify whom they speak with, and so do the sessions of clients that come in clear.

use std::process::{Command, Stdio};

use super::setting::{login, pool, reason, wait_for_reason, wait_for_states};
use crate::support::engines::{Cluster, RedisNode, Session};
use crate::support::{Authority, Evenkeel, Folder};

const NAME: &str = "db.internal";

/// Both authorities in files: that of the servers, and another one.
fn authorities(folder: &Folder, ours: &Authority) -> [String; 2] {
    [ours.write(folder, "ca.pem"), Authority::new().write(folder, "other.pem")]
}

/// A PostgreSQL server that lets checks in over TLS alone.
fn postgres(authority: &Authority) -> Cluster {
    let cluster = Cluster::start(0);
    let issued = authority.issue(&[NAME]);
    cluster.nodes[0].speak_tls(&issued.pem, &issued.key);
    cluster.nodes[0].allow_now("hostnossl all probe 127.0.0.1/32 reject");
    cluster
}

/// A pool of it whose checks begin with these settings of TLS.
fn checked(cluster: &Cluster, folder: &Folder, tls: &str) -> String {
    let secret = folder.write("secret", Cluster::PASSWORD);
    let pool = pool("app", &cluster.nodes, &format!("role = \"primary\", {}", login("probe", &secret)));
    format!("{pool}{tls}\n")
}

#[test]
fn checks_of_postgresql_verify_the_server_and_say_why_they_do_not_believe_it() {
    let authority = Authority::new();
    let cluster = postgres(&authority);
    let folder = Folder::new();
    let [ca, other] = authorities(&folder, &authority);
    for (tls, state, expected) in [
        (format!("tls = {{ ca = \"{ca}\", server_name = \"{NAME}\" }}"), "a up", "primary, timeline 1"),
        ("tls = { insecure_skip_verify = true }".into(), "a up", "primary, timeline 1"),
        (format!("tls = {{ ca = \"{other}\", server_name = \"{NAME}\" }}"), "a down", "not its authority's"),
        (format!("tls = {{ ca = \"{ca}\", server_name = \"db.example\" }}"), "a down", "not valid for name"),
        (String::new(), "a down", "access refused, see pg_hba.conf: "),
    ] {
        let own = Folder::new();
        let config = checked(&cluster, &own, &tls);
        let evenkeel = Evenkeel::start_in(own, &config);
        wait_for_states(&evenkeel, "app", state);
        wait_for_reason(&evenkeel, "app", "a", expected);
        let is_of_tls = reason(&evenkeel, "app", "a").contains("TLS: ");
        assert_eq!(is_of_tls, state == "a down" && !tls.is_empty(), "{tls}");
    }
    // A server that has no TLS.
    let (clear, own) = (Cluster::start(0), Folder::new());
    let config = checked(&clear, &own, &format!("tls = {{ ca = \"{ca}\" }}"));
    let evenkeel = Evenkeel::start_in(own, &config);
    wait_for_states(&evenkeel, "app", "a down");
    wait_for_reason(&evenkeel, "app", "a", "the server speaks no TLS");
}

#[test]
fn sessions_that_come_in_clear_go_on_to_postgresql_over_tls() {
    let authority = Authority::new();
    let cluster = postgres(&authority);
    cluster.nodes[0].allow_now("hostnossl all all 127.0.0.1/32 reject");
    let folder = Folder::new();
    let [ca, other] = authorities(&folder, &authority);
    let listener = "[listener.db]\nbind = [\"127.0.0.1:0\"]\nprotocol = \"tcp\"\npool = \"app\"\n";
    let config = |tls: &str, own: &Folder| format!("{listener}{}", checked(&cluster, own, tls));
    let own = Folder::new();
    let text = config(&format!("tls = {{ ca = \"{ca}\", server_name = \"{NAME}\" }}"), &own);
    let evenkeel = Evenkeel::start_in(own, &text);
    wait_for_states(&evenkeel, "app", "a up");
    let mut session = Session::open(evenkeel.listener("db")).unwrap_or_else(|fault| panic!("{fault}"));
    let is_secure = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(session.query(is_secure).ok().unwrap(), ["t"]);

    // After a reload it is another server that would be believed.
    let own = Folder::new();
    let secret = own.write("secret", Cluster::PASSWORD);
    let tcp = format!(
        "{listener}[pool.app]\nbackends = [{{ address = \"127.0.0.1:{}\", name = \"a\" }}]\n\
         health = {{ kind = \"postgres\", user = \"probe\", password_file = \"{secret}\" }}\n\
         tls = {{ ca = \"{other}\", server_name = \"{NAME}\" }}\n",
        cluster.nodes[0].port()
    );
    assert_eq!(evenkeel.reload(&tcp).status, 200, "{}", evenkeel.stderr.text());
    assert!(Session::open(evenkeel.listener("db")).is_err());
    assert_eq!(session.query(is_secure).ok().unwrap(), ["t"], "the session before goes on");
}

#[test]
fn psql_speaks_tls_with_the_server_itself_when_the_pool_does_not() {
    let authority = Authority::new();
    let cluster = postgres(&authority);
    cluster.nodes[0]
        .allow_now("host all probe 127.0.0.1/32 scram-sha-256\nhostnossl all all 127.0.0.1/32 reject");
    let folder = Folder::new();
    let [ca, other] = authorities(&folder, &authority);
    let own = Folder::new();
    let listener = "[listener.db]\nbind = [\"127.0.0.1:0\"]\nprotocol = \"tcp\"\npool = \"app\"\n";
    let config = format!("{listener}{}", checked(&cluster, &own, ""));
    let evenkeel = Evenkeel::start_in(own, &config);
    wait_for_states(&evenkeel, "app", "a up");
    let psql = |ca: &str| {
        let port = evenkeel.listener("db").port();
        let target = format!(
            "host={NAME} hostaddr=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=verify-full sslrootcert={ca}"
        );
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let mut command = Command::new("psql");
        command.args(["--no-psqlrc", "--tuples-only", "--no-align", &target, "--command", sql]);
        command.stdin(Stdio::null()).output().unwrap()
    };
    assert_eq!(psql(&ca).stdout, b"t\n", "{}", String::from_utf8_lossy(&psql(&ca).stderr));
    let refused = psql(&other);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("SSL error"), "{said}");
}

#[test]
fn checks_and_sessions_of_redis_speak_tls_from_the_first_byte() {
    let authority = Authority::new();
    let issued = authority.issue(&[NAME]);
    let node = RedisNode::start_with_tls("a", &issued.pem, &issued.key);
    let folder = Folder::new();
    let [ca, other] = authorities(&folder, &authority);
    for (tls, state, expected) in [
        (format!("tls = {{ ca = \"{ca}\", server_name = \"{NAME}\" }}"), "a up", "primary"),
        (format!("tls = {{ ca = \"{other}\", server_name = \"{NAME}\" }}"), "a down", "not its authority's"),
        (String::new(), "a down", "connection closed without an answer"),
    ] {
        let evenkeel = Evenkeel::start(&format!(
            "[listener.redis]\nbind = [\"127.0.0.1:0\"]\nprotocol = \"tcp\"\npool = \"app\"\n\
             [pool.app]\nbackends = [{{ address = \"127.0.0.1:{}\", name = \"a\" }}]\n\
             health = {{ kind = \"redis\", role = \"primary\", interval = \"100ms\", timeout = \"300ms\" }}\n{tls}\n",
            node.port()
        ));
        wait_for_states(&evenkeel, "app", state);
        wait_for_reason(&evenkeel, "app", "a", expected);
        if state == "a up" {
            let port = evenkeel.listener("redis").port().to_string();
            let answer = Command::new("redis-cli").args(["-p", &port, "PING"]).output().unwrap();
            assert_eq!(answer.stdout, b"PONG\n");
        }
    }
}
