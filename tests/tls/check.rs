//! What is wrong with certificates and keys is told before anything listens.

use std::time::{Duration, SystemTime};

use crate::support::{Authority, Folder, cli};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_key_of_another_certificate_starts_nothing() {
    let (folder, authority) = (Folder::new(), Authority::new());
    authority.issue(&["a.example"]).write(&folder, "a");
    authority.issue(&["b.example"]).write(&folder, "b");
    let text = "[listener.web]\nbind = \"127.0.0.1:0\"\n\
                tls.certificates = [{ cert = \"a.pem\", key = \"b.key\" }]\n\
                [[route]]\nrespond = {}\n";
    let file = folder.write("evenkeel.toml", text);
    for command in ["run", "check"] {
        let outcome = cli(&[command, "-c", &file]);
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        for part in ["evenkeel.toml:3:45", "b.key: is not the key of the certificate in"] {
            assert!(outcome.stderr.contains(part), "{part} is missing in:\n{}", outcome.stderr);
        }
        assert!(!outcome.stderr.contains("listening on"), "{}", outcome.stderr);
    }
}

#[test]
fn a_pool_that_would_trust_no_certificate_starts_nothing() {
    let folder = Folder::new();
    let text = "[listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n\
                [pool.app]\nbackends = [5001]\ntls.ca = \"missing.pem\"\n";
    let file = folder.write("evenkeel.toml", text);
    let outcome = cli(&["run", "-c", &file]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    for part in ["evenkeel.toml:6:10", "missing.pem: cannot be read"] {
        assert!(outcome.stderr.contains(part), "{part} is missing in:\n{}", outcome.stderr);
    }
}

#[test]
fn how_long_ago_a_certificate_has_expired_is_given_in_whole_days() {
    let (folder, authority) = (Folder::new(), Authority::new());
    for (ago, told) in [(HOUR, "less than a day"), (25 * HOUR, "1 day"), (49 * HOUR, "2 days")] {
        let expired = authority.issue_with(&["a.example"], |params| {
            params.not_after = (SystemTime::now() - ago).into();
        });
        let text = format!(
            "[listener.web]\nbind = 443\ntls.certificates = {}\n[[route]]\nrespond = {{}}\n",
            expired.write(&folder, "a")
        );
        let outcome = cli(&["check", "-c", &folder.write("evenkeel.toml", &text)]);
        let expected = format!("the certificate has expired {told} ago");
        assert!(outcome.stderr.contains(&expected), "{expected} is missing in:\n{}", outcome.stderr);
    }
}
