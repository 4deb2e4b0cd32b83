//! `tls.server_name = "{host}"`: a server with many certificates is asked for the one of the request's host. The server
//! is another balancer, which answers 421 to a host that the connection's certificate is not for.

use crate::support::{Authority, Evenkeel, Folder, Origin, eventually, pool};

const NAMES: [&str; 2] = ["a.example", "b.example"];

/// A server with a certificate for each name.
fn server(folder: &Folder, authority: &Authority) -> Evenkeel {
    let entries = NAMES.map(|name| authority.issue(&[name]).write(folder, name));
    Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n[listener.web.tls]\ncertificates = [{}]\n\
         [[route]]\nhost = \"a.example\"\nrespond = {{ body = \"a.example\" }}\n\
         [[route]]\nhost = \"b.example\"\nrespond = {{ body = \"b.example\" }}\n",
        entries.join(", ")
    ))
}

fn balancer(server: &Evenkeel, protocol: &str, ca: &str, keys: &str) -> Evenkeel {
    Evenkeel::start(&format!(
        "[pool.app]\nprotocol = \"{protocol}\"\nbackends = [{{ address = \"{}\", name = \"server\" }}]\n\
         tls = {{ ca = \"{ca}\", server_name = \"{{host}}\" }}\n{keys}\n",
        server.address()
    ))
}

fn get(evenkeel: &Evenkeel, host: &str) -> (u16, String) {
    let response = evenkeel.ask(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"));
    (response.status, response.text())
}

#[test]
fn a_server_is_asked_for_the_certificate_of_the_requests_host() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let ca = authority.write(&folder, "ca.pem");
    let server = server(&folder, &authority);
    for protocol in ["http1", "http2"] {
        let balancer = balancer(&server, protocol, &ca, "");
        // A kept connection to one name must not be used for the other.
        for _ in 0..3 {
            for name in NAMES {
                for host in [name.to_owned(), format!("{name}:8443"), name.to_uppercase()] {
                    assert_eq!(get(&balancer, &host), (200, name.to_owned()), "{protocol} {host}");
                }
            }
        }
        assert_eq!(get(&balancer, "c.example").0, 502, "no certificate is for it");
    }
    assert_eq!(server.stdout.count(|line| line.contains("\"status\":421")), 0);
}

#[test]
fn a_host_without_a_certificate_is_not_the_servers_fault() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let ca = authority.write(&folder, "ca.pem");
    let server = server(&folder, &authority);
    for protocol in ["http1", "http2"] {
        let keys = "outlier = { failures = 2, window = \"1h\", eject = \"1h\", on = [\"connect\"] }\n\
                    breaker = { failures = \"1%\", requests_min = 2, window = \"1h\" }";
        let balancer = balancer(&server, protocol, &ca, keys);
        for _ in 0..4 {
            let (status, text) = get(&balancer, "c.example");
            assert_eq!(status, 502, "{text}");
            assert!(text.contains("no valid certificate for this host"), "{text}");
        }
        assert_eq!(get(&balancer, "a.example"), (200, "a.example".into()), "{protocol}");
    }
}

#[test]
fn the_idle_connections_of_all_hosts_share_the_limit() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let ca = authority.write(&folder, "ca.pem");
    let server = server(&folder, &authority);
    for protocol in ["http1", "http2"] {
        let balancer = balancer(&server, protocol, &ca, "keepalive = 1");
        for name in ["a.example", "b.example", "b.example", "a.example"] {
            assert_eq!(get(&balancer, name), (200, name.to_owned()), "{protocol} {name}");
        }
    }
}

#[test]
fn a_probe_asks_for_the_certificate_of_its_own_host() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let ca = authority.write(&folder, "ca.pem");
    let server = server(&folder, &authority);
    for (host, state) in [("b.example", "up"), ("c.example", "down")] {
        let health = format!(
            "health = {{ path = \"/\", host = \"{host}\", interval = \"100ms\", timeout = \"100ms\", fall = 1 }}"
        );
        let balancer = balancer(&server, "http1", &ca, &health);
        balancer.wait_for_state("server", state);
    }
}

#[test]
fn a_mirror_is_asked_for_the_certificate_of_the_requests_host() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let ca = authority.write(&folder, "ca.pem");
    let (shadow, origin) = (server(&folder, &authority), Origin::named("a"));
    for protocol in ["http1", "http2"] {
        let balancer = Evenkeel::start(&format!(
            "[[route]]\nname = \"all\"\npool = \"app\"\nmirror = {{ pool = \"shadow\" }}\n{}\
             [pool.shadow]\nprotocol = \"{protocol}\"\nbackends = [\"{}\"]\n\
             tls = {{ ca = \"{ca}\", server_name = \"{{host}}\" }}\n",
            pool(&[&origin], ""),
            shadow.address()
        ));
        for (host, outcome) in [("a.example", "sent"), ("b.example", "sent"), ("c.example", "failed")] {
            let labels = ["route=\"all\"", &format!("outcome=\"{outcome}\"")];
            let before = balancer.metric("evenkeel_mirrored_total", &labels);
            assert_eq!(get(&balancer, host).0, 200);
            eventually(host, || balancer.metric("evenkeel_mirrored_total", &labels) > before);
        }
    }
    let answered = |host: &str| {
        let host = format!("\"host\":\"{host}\"");
        shadow.stdout.count(|line| line.contains(&host) && line.contains("\"status\":200"))
    };
    eventually("each host was answered", || NAMES.iter().all(|name| answered(name) == 2));
}
