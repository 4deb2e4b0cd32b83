//! Checks that PostgreSQL refuses: the reason is shown and logged, and the password is not.

use super::setting::{login, pool, wait_for_reason, wait_for_states};
use crate::support::engines::Cluster;
use crate::support::{Evenkeel, Folder, eventually};

const WRONG: &str = "wr0ng-and-secret";

#[track_caller]
fn check(cluster: &Cluster, user: &str, secret: &str, more: &str, expected: &str) {
    let folder = Folder::new();
    let secret = folder.write("secret", secret);
    // The reason of the first check is the one that is logged: a busy machine must not make it a timeout.
    let login = login(user, &secret).replace("300ms", "5s");
    let pool = pool("app", &cluster.nodes, &format!("role = \"primary\", {login}{more}"));
    let evenkeel = Evenkeel::start_in(folder, &pool);
    wait_for_states(&evenkeel, "app", "a down");
    wait_for_reason(&evenkeel, "app", "a", expected);
    let status = evenkeel.admin("GET", "/status", "").text();
    let log = evenkeel.stderr.text();
    assert!(log.contains(&expected.replace('"', "\\\"")), "{log}");
    for password in [WRONG, Cluster::PASSWORD] {
        assert!(!log.contains(password) && !status.contains(password));
    }
    assert!(evenkeel.metric("evenkeel_probes_total", &["result=\"refusal\""]) > 0.0);
}

#[test]
fn each_refusal_says_what_is_wrong() {
    let cluster = Cluster::start(0);
    let node = &cluster.nodes[0];
    check(
        &cluster,
        "probe",
        WRONG,
        "",
        "wrong user or password: password authentication failed for user \"probe\"",
    );
    check(&cluster, "old", WRONG, "", "wrong user or password");
    check(&cluster, "nobody-of-that-name", WRONG, "", "role \"nobody-of-that-name\" does not exist");
    let database = ", database = \"missing\"";
    check(
        &cluster,
        "probe",
        Cluster::PASSWORD,
        database,
        "no such database: database \"missing\" does not exist",
    );
    node.allow_now("host all probe 127.0.0.1/32 reject");
    check(
        &cluster,
        "probe",
        Cluster::PASSWORD,
        "",
        "access refused, see pg_hba.conf: pg_hba.conf rejects connection",
    );
    node.allow_now("host all probe 127.0.0.1/32 password");
    check(&cluster, "probe", Cluster::PASSWORD, "", "asks for the password in clear, without TLS");
    node.allow_now("");
    node.query("ALTER ROLE probe CONNECTION LIMIT 0");
    check(&cluster, "probe", Cluster::PASSWORD, "", "too many connections");
}

#[test]
fn a_check_without_a_password_says_that_one_is_needed() {
    let cluster = Cluster::start(0);
    let pool = pool("app", &cluster.nodes, "role = \"primary\", user = \"probe\", interval = \"100ms\"");
    let evenkeel = Evenkeel::start(&pool);
    wait_for_states(&evenkeel, "app", "a down");
    wait_for_reason(&evenkeel, "app", "a", "set `password_file`");
}

#[test]
fn a_role_of_md5_signs_in_and_a_reload_reads_a_new_password() {
    let cluster = Cluster::start(0);
    let folder = Folder::new();
    let secret = folder.write("secret", WRONG);
    let pool = pool("app", &cluster.nodes, &format!("role = \"primary\", {}", login("old", &secret)));
    let evenkeel = Evenkeel::start_in(folder, &pool);
    wait_for_states(&evenkeel, "app", "a down");
    std::fs::write(&secret, format!("{}\n", Cluster::PASSWORD)).unwrap();
    assert_eq!(evenkeel.reload(&pool).status, 200, "{}", evenkeel.stderr.text());
    wait_for_states(&evenkeel, "app", "a up");
}

#[test]
fn a_password_file_that_is_missing_is_a_fault_of_the_configuration() {
    let folder = Folder::new();
    let text = "[listener.web]\nbind = [8080]\npool = \"app\"\n[pool.app]\nbackends = [5432]\n\
        health = { kind = \"postgres\", role = \"primary\", password_file = \"missing\" }\n";
    let file = folder.write("evenkeel.toml", text);
    let outcome = crate::support::cli(&["check", "-c", &file]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.stderr.contains("cannot read") && outcome.stderr.contains("missing"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_server_that_is_no_postgresql_is_down() {
    let origin = crate::support::Origin::named("web");
    let pool = format!(
        "[pool.app]\nbackends = [\"{}\"]\nhealth = {{ kind = \"postgres\", interval = \"100ms\", timeout = \"100ms\" }}\n",
        origin.address()
    );
    let evenkeel = Evenkeel::start(&pool);
    let id = origin.address().to_string();
    eventually("it is down", || evenkeel.server("app", &id)["state"] == "down");
}
