//! X-Forwarded-Port and X-Forwarded-Prefix: to which port the client came, and what was taken off the path.

use crate::support::{Client, Evenkeel, Origin, eventually, pool};

fn configuration(origin: &Origin, trusted: &str) -> String {
    format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\ntrusted_proxies = [\"{trusted}\"]\n\
         [[route]]\npath = \"/api/*\"\npool = \"app\"\nrewrite = {{ strip_prefix = \"/api\" }}\n\
         [[route]]\npath = \"/old/*\"\npool = \"app\"\nrewrite = {{ path = \"/new/*\" }}\n{}",
        pool(&[origin], "")
    )
}

fn start(origin: &Origin) -> Evenkeel {
    Evenkeel::start(&configuration(origin, "127.0.0.2"))
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

#[test]
fn a_kept_connection_follows_a_reload_of_whom_to_trust() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin);
    let mut client = evenkeel.client();
    let port = evenkeel.address().port().to_string();
    for (trusted, believed) in [("127.0.0.2", false), ("127.0.0.1", true), ("127.0.0.2", false)] {
        assert_eq!(evenkeel.reload(&configuration(&origin, trusted)).status, 200);
        // Twice: the second request of a connection uses what the first has written out.
        for _ in 0..2 {
            eventually("the worker has the new configuration", || {
                client.get_with("/", "x-forwarded-for: 192.0.2.9\r\nx-forwarded-port: 443\r\n");
                let request = origin.last();
                let expected = if believed { "192.0.2.9, 127.0.0.1" } else { "127.0.0.1" };
                let seen = (request.headers("x-forwarded-for"), request.headers("x-forwarded-port"));
                seen == (vec![expected], vec![if believed { "443" } else { &port }])
            });
        }
    }
}
