//! What is wrong with certificates and keys is told before anything listens.

use crate::support::{Authority, Folder, cli};

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
fn a_pool_that_would_believe_nobody_starts_nothing() {
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
