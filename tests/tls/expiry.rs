//! When certificates run out: in metrics, in `/status`, and in the log before it is too late.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{Authority, Evenkeel, Folder, cli, eventually};

const DAY: Duration = Duration::from_secs(86_400);

/// The certificates of a listener in `/status`.
fn certificates(evenkeel: &Evenkeel, listener: &str) -> Option<Vec<Value>> {
    let status = evenkeel.status();
    let listeners = status["listeners"].as_array().unwrap();
    let tls = listeners.iter().find(|it| it["name"] == listener).unwrap().get("tls")?;
    tls["certificates"].as_array().cloned()
}

#[test]
fn it_is_in_metrics_status_and_log_and_a_renewal_ends_the_warning() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let lasting = authority.issue_for(&["a.example", "*.a.example"], 90 * DAY).write(&folder, "lasting");
    let short = authority.issue_for(&["b.example"], 20 * DAY + DAY / 2).write(&folder, "short");
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n\
         [listener.secure]\nbind = [\"127.0.0.2:0\"]\ntls.certificates = [{lasting}, {short}]\n\
         [[route]]\nrespond = {{}}\n"
    ));

    let labels = |file: &str| ["listener=\"secure\"".to_owned(), format!("/{file}.pem\"")];
    let metric = |name: &str, file: &str| evenkeel.metric(name, &labels(file).each_ref().map(|it| &**it));
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let left_s = |file: &str| metric("evenkeel_certificate_expiry_timestamp_seconds", file) - now_s;
    let days = |file: &str| left_s(file) / DAY.as_secs_f64();
    assert!((days("short") - 20.5).abs() < 0.01, "{}", days("short"));
    assert!((days("lasting") - 90.0).abs() < 0.01, "{}", days("lasting"));

    assert_eq!(certificates(&evenkeel, "web"), None);
    let told = certificates(&evenkeel, "secure").unwrap();
    let file = |of: &Value| of["cert"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(told.iter().map(file).collect::<Vec<_>>(), ["lasting.pem", "short.pem"]);
    assert_eq!(told[0]["names"], serde_json::json!(["a.example", "*.a.example"]));
    assert!([89, 90].contains(&told[0]["days_left"].as_i64().unwrap()), "{}", told[0]);
    assert_eq!(told[0].get("warning"), None);
    assert_eq!(told[1]["days_left"], 20);
    assert_eq!(told[1]["warning"], "the certificate expires in 20 days");
    let expires = told[1]["expires"].as_str().unwrap();
    assert!(expires.len() == 20 && expires.starts_with("20") && expires.ends_with('Z'), "{expires}");

    let warning =
        |line: &str| line.contains("WARN") && line.contains("short.pem: the certificate expires in 20 days");
    evenkeel.stderr.wait_for("the warning", warning);
    // A second look at the files, which leaves this one as it is, must not warn again.
    authority.issue_for(&["a.example", "*.a.example"], 100 * DAY).write(&folder, "lasting");
    eventually("a second look", || days("lasting") > 99.0);
    authority.issue_for(&["b.example"], 60 * DAY).write(&folder, "short");
    eventually("the renewal is seen", || days("short") > 59.0);
    let told = certificates(&evenkeel, "secure").unwrap();
    assert!(told[1].get("warning").is_none() && told[1]["days_left"].as_i64().unwrap() >= 59, "{}", told[1]);
    assert_eq!(evenkeel.stderr.count(warning), 1, "{}", evenkeel.stderr.text());
    assert_eq!(evenkeel.stderr.count(|line| line.contains("WARN") && line.contains("lasting.pem")), 0);
}

#[test]
fn a_reload_brings_the_figures_of_its_certificates_and_takes_away_the_others() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let config = |entry: &str| {
        format!(
            "[listener.web]\nbind = [\"127.0.0.1:0\"]\ntls.certificates = {entry}\n[[route]]\nrespond = {{}}\n"
        )
    };
    let first = authority.issue_for(&["a.example"], 50 * DAY).write(&folder, "first");
    let second = authority.issue_for(&["a.example"], 10 * DAY + DAY / 2).write(&folder, "second");
    let evenkeel = Evenkeel::start(&config(&first));
    let count = |file: &str| {
        let text = evenkeel.admin("GET", "/metrics", "").text();
        text.lines().filter(|line| line.starts_with("evenkeel_certificate") && line.contains(file)).count()
    };
    assert_eq!((count("first.pem"), count("second.pem")), (1, 0));
    assert_eq!(evenkeel.reload(&config(&second)).status, 200);
    assert_eq!((count("first.pem"), count("second.pem")), (0, 1));
    assert_eq!(certificates(&evenkeel, "web").unwrap()[0]["days_left"], 10);
    let warned =
        |line: &str| line.contains("WARN") && line.contains("second.pem: the certificate expires in 10 days");
    evenkeel.stderr.wait_for("the warning", warned);
}

#[test]
fn one_that_is_replaced_by_an_expired_one_is_warned_of_again_at_once() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let entry = authority.issue_for(&["a.example"], 9 * DAY + DAY / 2).write(&folder, "short");
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\ntls.certificates = {entry}\n[[route]]\nrespond = {{}}\n"
    ));
    let warned = |what: &str| {
        let (what, level) = (format!("short.pem: the certificate {what}"), "WARN");
        evenkeel.stderr.wait_for(&what, |line| line.contains(level) && line.contains(&what));
    };
    warned("expires in 9 days");
    let expired = authority.issue_with(&["a.example"], |params| {
        params.not_after = (SystemTime::now() - DAY - DAY / 100).into();
    });
    expired.write(&folder, "short");
    warned("has expired at ");
    let told = &certificates(&evenkeel, "web").unwrap()[0];
    assert_eq!(told["days_left"], -1, "{told}");
}

#[test]
fn check_and_status_count_the_days_alike_also_a_moment_after_a_certificate_was_issued() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let entry = authority.issue_for(&["a.example"], 20 * DAY - DAY / 1440).write(&folder, "short");
    let text = format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\ntls.certificates = {entry}\n[[route]]\nrespond = {{}}\n"
    );
    let warning = "the certificate expires in 20 days";
    let checked = cli(&["check", "-c", &folder.write("checked.toml", &text)]).stderr;
    assert!(checked.contains(warning), "{checked}");
    let told = &certificates(&Evenkeel::start(&text), "web").unwrap()[0];
    assert_eq!((&told["days_left"], &told["warning"]), (&20.into(), &warning.into()));
}
