//! The sockets of listeners, whatever the new process makes of them.

use std::net::TcpStream;

use super::setting::Chain;
use crate::support::{Client, Origin, Port, Traffic, eventually, ms, pool};

#[test]
fn more_or_fewer_workers_lose_nothing() {
    let origin = Origin::named("a");
    let text = |workers: usize| {
        format!("[server]\nworkers = {workers}\n[log]\naccess = \"off\"\n{}", pool(&[&origin], ""))
    };
    let mut chain = Chain::start(&text(3));
    let kept = Traffic::paced(chain.address(), 2, ms(1));
    let address = chain.address();
    for workers in [1, 4, 2, 3] {
        chain.rewrite(&text(workers));
        chain.upgrade();
        kept.more(20);
        // Each socket has a queue of its own, and the kernel deals connections out among them.
        let mut clients: Vec<Client> = (0..40).map(|_| Client::connect(address)).collect();
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        }
        assert!(clients.iter_mut().all(|client| client.answer("GET").text() == "a"), "{workers} workers");
    }
    let tally = kept.stop();
    assert!(tally.lost.is_empty(), "{:?}", tally.lost);
}

#[test]
fn a_socket_for_which_no_descriptor_is_left_refuses_the_upgrade() {
    let origin = Origin::named("a");
    let bind = vec!["\"127.0.0.1:0\""; 20].join(", ");
    let listener = format!("[listener.web]\nbind = [{bind}]\npool = \"app\"\n");
    let mut chain = Chain::start(&format!("[server]\nworkers = 4\n{listener}{}", pool(&[&origin], "")));
    let open = chain.descriptors() as u64;
    chain.limit_descriptors(open + 30);
    let said = chain.refusal("{}");
    assert!(said.contains("cannot duplicate a listening socket of 127.0.0.1:"), "{said}");
    assert!(said.contains("Too many open files"), "{said}");
    chain.limit_descriptors(1_000);
    chain.upgrade();
    assert_eq!(chain.get("/").text(), "a");
}

#[test]
fn listeners_come_go_and_change_their_names_with_an_upgrade() {
    let (origin, one, other) = (Origin::named("a"), Port::reserve_everywhere(), Port::reserve());
    let listener = |name: &str, bind: &str| format!("[listener.{name}]\nbind = \"{bind}\"\npool = \"app\"\n");
    let narrow = one.address().to_string();
    let text = |listeners: &str| format!("{listeners}{}", pool(&[&origin], ""));
    let mut chain = Chain::start(&text(&listener("first", &narrow)));
    let kept = Traffic::paced(one.address(), 2, ms(1));
    kept.more(20);
    chain.rewrite(&text(&(listener("second", &narrow) + &listener("more", &other.address().to_string()))));
    chain.upgrade();
    assert_eq!(Client::connect(other.address()).get("/").text(), "a");
    kept.more(20);
    // The same port of all addresses: the narrower socket stays, because its connections would be lost with it.
    chain.rewrite(&text(&listener("wide", &format!(":{}", one.address().port()))));
    chain.upgrade();
    eventually("the port of a listener that is gone is closed", || {
        TcpStream::connect(other.address()).is_err()
    });
    kept.more(20);
    chain.upgrade();
    kept.more(20);
    let tally = kept.stop();
    assert!(tally.lost.is_empty(), "{:?}", tally.lost);
    let names = chain.status()["listeners"].to_string();
    assert!(names.contains("wide") && !names.contains("second"), "{names}");
}

#[test]
fn a_new_process_has_no_descriptor_that_it_does_not_need() {
    let origin = Origin::named("a");
    let mut chain = Chain::start(&pool(&[&origin], ""));
    let mut counts = Vec::new();
    for _ in 0..4 {
        let pid = chain.upgrade();
        let count = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let mut last = 0;
        eventually("it has settled", || {
            let before = std::mem::replace(&mut last, count());
            before == last
        });
        counts.push(last);
    }
    let (first, last) = (counts[0], counts[3]);
    assert!(last <= first + 1, "{counts:?}");
}
