//! Several listeners, each with its own routes and pool.

use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};

use crate::support::{Client, Evenkeel, Origin, Wire, eventually, pool};

#[test]
fn each_listener_leads_where_it_says() {
    let (one, two) = (Origin::named("one"), Origin::named("two"));
    let evenkeel = Evenkeel::start(&format!(
        "[listener.first]\nbind = [\"127.0.0.1:0\"]\npool = \"one\"\n\
         [listener.second]\nbind = [\"127.0.0.1:0\"]\npool = \"two\"\n\
         [[route]]\nlistener = \"second\"\npath = \"/own\"\nrespond = {{ body = \"own\" }}\n\
         [pool.one]\nbackends = [\"{}\"]\n[pool.two]\nbackends = [\"{}\"]\n",
        one.address(),
        two.address()
    ));
    for (listener, target, answer) in
        [("first", "/", "one"), ("second", "/", "two"), ("first", "/own", "one"), ("second", "/own", "own")]
    {
        let mut client = Client::connect(evenkeel.listener(listener));
        assert_eq!(client.get(target).text(), answer, "{listener} {target}");
    }
}

#[test]
fn a_listener_may_have_several_addresses() {
    let evenkeel = Evenkeel::start(
        "[listener.web]\nbind = [\"127.0.0.1:0\", \"127.0.0.2:0\"]\n[[route]]\nrespond = { body = \"here\" }\n",
    );
    let lines = evenkeel.stderr.lines();
    let addresses: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split("listening on ").nth(1)?.split_whitespace().next())
        .collect();
    assert_eq!(addresses.len(), 2, "{lines:?}");
    for address in addresses {
        assert_eq!(Client::connect(address.parse().unwrap()).get("/").text(), "here", "{address}");
    }
}

#[test]
fn a_bare_port_takes_both_families_and_calls_clients_by_their_usual_names() {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [0]\npool = \"app\"\n[[route]]\nclient = [\"127.0.0.7\"]\nrespond = {{ body = \"seven\" }}\n{}",
        pool(&[&origin], "")
    ));
    let port = evenkeel.address().port();
    assert_eq!(Client::connect((Ipv4Addr::LOCALHOST, port).into()).get("/").text(), "a");
    assert_eq!(origin.last().header("x-forwarded-for"), Some("127.0.0.1"), "not ::ffff:127.0.0.1");
    assert_eq!(Client::from([127, 0, 0, 7], (Ipv4Addr::LOCALHOST, port).into()).get("/").text(), "seven");
    if let Ok(stream) = TcpStream::connect((Ipv6Addr::LOCALHOST, port)) {
        Wire::new(stream).send("GET / HTTP/1.1\r\nhost: [::1]\r\n\r\n");
        eventually("it came by IPv6", || origin.last().header("x-forwarded-for") == Some("::1"));
    }
}
