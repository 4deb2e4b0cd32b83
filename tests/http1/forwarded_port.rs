//! X-Forwarded-Port and X-Forwarded-Prefix: to which port the client came, and what was taken off the path.

use crate::support::{Client, Evenkeel, Origin, pool};

fn start(origin: &Origin) -> Evenkeel {
    Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\ntrusted_proxies = [\"127.0.0.2\"]\n\
         [[route]]\npath = \"/api/*\"\npool = \"app\"\nrewrite = {{ strip_prefix = \"/api\" }}\n\
         [[route]]\npath = \"/old/*\"\npool = \"app\"\nrewrite = {{ path = \"/new/*\" }}\n{}",
        pool(&[origin], "")
    ))
}

const FORGED: &str = "x-forwarded-port: 1\r\nX-Forwarded-Port: 2\r\nx_forwarded_port: 3\r\n\
                      x-forwarded-prefix: /evil\r\nX_Forwarded_Prefix: /evil\r\n";

#[test]
fn the_server_learns_to_which_port_the_client_came() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin);
    let port = evenkeel.address().port().to_string();
    for fields in ["", FORGED] {
        evenkeel.client().get_with("/", fields);
        assert_eq!(origin.last().headers("x-forwarded-port"), [port.as_str()]);
        assert_eq!(origin.last().headers("x_forwarded_port"), [""; 0]);
    }
}

#[test]
fn the_server_learns_which_prefix_was_taken_off() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin);
    for fields in ["", FORGED] {
        for (target, seen, prefix) in [
            ("/api/users", "/users", Some("/api")),
            ("/api", "/", Some("/api")),
            ("/apix", "/apix", None),
            ("/old/x", "/new/x", None),
            ("/", "/", None),
        ] {
            evenkeel.client().get_with(target, fields);
            let request = origin.last();
            assert_eq!((request.target(), request.header("x-forwarded-prefix")), (seen, prefix), "{target}");
            assert_eq!(request.headers("x_forwarded_prefix"), [""; 0]);
        }
    }
}

#[test]
fn a_trusted_peer_is_believed_about_them() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin);
    let fields = "x-forwarded-port: 443\r\nx-forwarded-prefix: /outer\r\n";
    Client::from([127, 0, 0, 2], evenkeel.address()).get_with("/", fields);
    assert_eq!(origin.last().headers("x-forwarded-port"), ["443"]);
    assert_eq!(origin.last().headers("x-forwarded-prefix"), ["/outer"]);
}
