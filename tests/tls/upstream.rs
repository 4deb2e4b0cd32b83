//! TLS towards servers: whom the balancer believes, and what it tells those who sent it there. The server is another
//! balancer.

use crate::support::{Authority, Evenkeel, Folder, self_signed};

/// A server with a certificate for `names`, which says who its client is.
fn server(folder: &Folder, authority: &Authority, names: &[&str], more: &str) -> Evenkeel {
    let entry = authority.issue(names).write(folder, "server");
    Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[listener.web.tls]\ncertificates = [{entry}]\n{more}\n\
         [[route]]\nrespond = {{ body = \"secure\" }}\n"
    ))
}

fn balancer(server: &Evenkeel, protocol: &str, tls: &str) -> Evenkeel {
    Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n[pool.app]\nprotocol = \"{protocol}\"\n\
         backends = [\"{}\"]\ntls = {tls}\n",
        server.address()
    ))
}

#[test]
fn a_server_is_believed_if_its_certificate_is_for_its_name_and_of_those_trusted() {
    let (folder, authority, stranger) = (Folder::new(), Authority::new(), Authority::new());
    let server = server(&folder, &authority, &["app.internal"], "");
    let ca = authority.write(&folder, "ca.pem");
    let other = stranger.write(&folder, "other.pem");
    for protocol in ["http1", "http2"] {
        for (tls, expected) in [
            (format!("{{ ca = \"{ca}\", server_name = \"app.internal\" }}"), 200),
            (format!("{{ ca = \"{ca}\", server_name = \"app.example\" }}"), 502),
            // The name is that of the address, 127.0.0.1, which the certificate is not for.
            (format!("{{ ca = \"{ca}\" }}"), 502),
            (format!("{{ ca = \"{other}\", server_name = \"app.internal\" }}"), 502),
            ("{ insecure_skip_verify = true }".to_owned(), 200),
        ] {
            let balancer = balancer(&server, protocol, &tls);
            let mut client = balancer.client();
            for _ in 0..3 {
                let answer = client.ask("GET / HTTP/1.1\r\nhost: app.internal\r\n\r\n");
                assert_eq!(answer.status, expected, "{protocol} {tls}: {}", answer.text());
            }
        }
    }
}

#[test]
fn what_is_wrong_with_a_certificate_is_in_the_log_and_not_in_the_answer() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let server = server(&folder, &authority, &["app.internal"], "");
    let ca = authority.write(&folder, "ca.pem");
    for protocol in ["http1", "http2"] {
        let balancer =
            balancer(&server, protocol, &format!("{{ ca = \"{ca}\", server_name = \"app.example\" }}"));
        let response = balancer.get("/");
        assert_eq!(response.text().lines().next(), Some("502 Bad Gateway: cannot connect"), "{protocol}");
        let reason = balancer.record(|line| line["status"] == 502)["reason"].as_str().unwrap().to_owned();
        let is_told = ["cannot connect: ", "app.internal"].iter().all(|part| reason.contains(part));
        assert!(is_told, "{protocol}: {reason}");
    }
}

#[test]
fn a_balancer_shows_its_own_certificate_to_servers_that_ask() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let ca = authority.write(&folder, "ca.pem");
    let server = server(&folder, &authority, &["127.0.0.1"], &format!("client_ca = \"{ca}\""));
    authority.issue(&["balancer"]).write(&folder, "own");
    let own = format!("cert = \"{}\", key = \"{}\"", folder.path("own.pem"), folder.path("own.key"));
    let with = balancer(&server, "http1", &format!("{{ ca = \"{ca}\", {own} }}"));
    assert_eq!(with.get("/").text(), "secure");
    let without = balancer(&server, "http1", &format!("{{ ca = \"{ca}\" }}"));
    assert_eq!(without.get("/").status, 502);
}

#[test]
fn probes_speak_as_requests_do() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let ca = authority.write(&folder, "ca.pem");
    let server = server(&folder, &authority, &["127.0.0.1"], "");
    for protocol in ["http1", "http2"] {
        let tls = format!("{{ ca = \"{ca}\" }}\nhealth = {{ path = \"/\", interval = \"100ms\" }}");
        let believed = balancer(&server, protocol, &tls);
        believed.wait_for_state(&server.address().to_string(), "up");
        let tls = "true\nhealth = { path = \"/\", interval = \"100ms\" }";
        let refused = balancer(&server, protocol, tls);
        refused.wait_for_state(&server.address().to_string(), "down");
    }
}

#[test]
fn a_server_with_a_self_signed_certificate_is_believed_if_the_pool_lists_it() {
    let folder = Folder::new();
    let entry = self_signed(&["app.internal"]).write(&folder, "server");
    let server = Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[listener.web.tls]\ncertificates = [{entry}]\n\
         [[route]]\nrespond = {{ body = \"secure\" }}\n"
    ));
    let ca = folder.path("server.pem");
    for (name, expected) in [("app.internal", 200), ("app.example", 502)] {
        let balancer = balancer(&server, "http1", &format!("{{ ca = \"{ca}\", server_name = \"{name}\" }}"));
        let answer = balancer.client().ask("GET / HTTP/1.1\r\nhost: app.internal\r\n\r\n");
        assert_eq!(answer.status, expected, "{name}: {}", answer.text());
    }
    // The log says in words why another certificate is not believed.
    let ca = self_signed(&["app.internal"]).write(&folder, "other");
    assert!(ca.contains("other.pem"));
    let tls = format!("{{ ca = \"{}\", server_name = \"app.internal\" }}", folder.path("other.pem"));
    let balancer = balancer(&server, "http1", &tls);
    assert_eq!(balancer.get("/").status, 502);
    let reason = balancer.record(|line| line["status"] == 502)["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("certificate") && !reason.contains("Other"), "{reason}");
}
