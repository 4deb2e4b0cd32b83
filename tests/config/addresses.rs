//! A reload widens and narrows the addresses of a listener without losing a connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use socket2::{Domain, Socket, Type};

use crate::support::{Client, Evenkeel, Folder, Origin, Port, cli, eventually, pool};

/// A configuration of two workers whose listener binds `address`.
fn listening(address: &str, origin: &Origin) -> String {
    format!(
        "[server]\nworkers = 2\n[listener.web]\nbind = [\"{address}\"]\npool = \"app\"\n{}",
        pool(&[origin], "")
    )
}

/// Clients that open a connection for each request, every one of which must be answered.
struct Newcomers {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Newcomers {
    fn start(address: SocketAddr) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads = (0..4).map(|_| {
            let (stop, answered) = (stop.clone(), answered.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    assert_eq!(Client::connect(address).get("/").text(), "a");
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        let threads = threads.collect();
        Self { stop, answered, threads }
    }

    /// Waits until some more were answered, or one was not.
    fn more(&self) {
        let goal = self.answered.load(Ordering::SeqCst) + 50;
        eventually("traffic flows", || {
            self.answered.load(Ordering::SeqCst) > goal || self.threads.iter().any(JoinHandle::is_finished)
        });
    }

    fn stop(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

impl Drop for Newcomers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// Reloads back and forth between two ways to listen that have `address` in common.
fn back_and_forth(address: SocketAddr, one: &str, other: &str) {
    let origin = Origin::named("a");
    let evenkeel = Evenkeel::start(&listening(one, &origin));
    let mut kept = Client::connect(address);
    assert_eq!(kept.get("/").text(), "a");
    let newcomers = Newcomers::start(address);
    for way in [other, one, other, one] {
        newcomers.more();
        let response = evenkeel.reload(&listening(way, &origin));
        assert_eq!(response.status / 100, 2, "{way}: {}", response.text());
        let listeners = evenkeel.status()["listeners"].to_string();
        assert!(listeners.contains(&format!("[\"{way}\"]")), "not {way} alone: {listeners}");
    }
    newcomers.more();
    newcomers.stop();
    assert_eq!(kept.get("/").text(), "a", "the listener is the same, so its clients stay");
}

#[test]
fn one_address_becomes_all_of_its_family_and_one_again() {
    let port = Port::reserve_everywhere();
    back_and_forth(
        port.address(),
        &port.address().to_string(),
        &format!("0.0.0.0:{}", port.address().port()),
    );
}

#[test]
fn one_address_becomes_all_of_both_families_and_one_again() {
    let port = Port::reserve_everywhere();
    back_and_forth(port.address(), &port.address().to_string(), &format!("[::]:{}", port.address().port()));
}

#[test]
fn all_addresses_of_one_family_become_all_of_both_and_again() {
    let port = Port::reserve_everywhere();
    let number = port.address().port();
    back_and_forth(port.address(), &format!("0.0.0.0:{number}"), &format!("[::]:{number}"));
}

#[test]
fn a_wider_address_takes_what_the_narrow_one_did_not_and_gives_it_back() {
    let (origin, port) = (Origin::named("a"), Port::reserve_everywhere());
    let (narrow, number) = (port.address(), port.address().port());
    let other = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), number));
    let evenkeel = Evenkeel::start(&listening(&narrow.to_string(), &origin));
    let refused = || std::net::TcpStream::connect(other).is_err();
    assert!(refused());
    let widened = evenkeel.reload(&listening(&format!(":{number}"), &origin));
    assert_eq!(widened.status / 100, 2, "{}", widened.text());
    assert_eq!(Client::connect(other).get("/").text(), "a");
    assert_eq!(evenkeel.reload(&listening(&narrow.to_string(), &origin)).status / 100, 2);
    eventually("the others are let go", refused);
    assert_eq!(Client::connect(narrow).get("/").text(), "a");
}

#[test]
fn of_two_listeners_the_narrower_address_wins_until_it_is_gone() {
    let (origin, port) = (Origin::named("a"), Port::reserve_everywhere());
    let (narrow, number) = (port.address(), port.address().port());
    let web = format!("[listener.web]\nbind = [{number}]\npool = \"app\"\n{}", pool(&[&origin], ""));
    let inner = format!("[listener.inner]\nbind = [\"{narrow}\"]\n");
    let route = "[[route]]\nlistener = \"inner\"\nrespond = { body = \"inner\" }\n";
    let evenkeel = Evenkeel::start(&format!("{inner}{web}{route}"));
    let ask = |ip: [u8; 4]| Client::connect(SocketAddr::from((ip, number))).get("/").text();
    assert_eq!((ask([127, 0, 0, 1]).as_str(), ask([127, 0, 0, 2]).as_str()), ("inner", "a"));
    assert_eq!(evenkeel.reload(&web).status / 100, 2);
    eventually("its address is the other listener's", || ask([127, 0, 0, 1]) == "a");
    assert_eq!(ask([127, 0, 0, 2]), "a");
}

/// A foreign socket, which would even share its address with others of the same user.
fn foreign(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(8).unwrap();
    socket
}

#[test]
fn an_address_is_not_widened_over_another_process() {
    let (origin, port) = (Origin::named("a"), Port::reserve_everywhere());
    let number = port.address().port();
    let evenkeel = Evenkeel::start(&listening(&port.address().to_string(), &origin));
    let theirs = foreign(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), number)));
    for wide in [format!("0.0.0.0:{number}"), format!("[::]:{number}")] {
        let response = evenkeel.reload(&listening(&wide, &origin));
        assert!((400..600).contains(&response.status), "{wide}: {}", response.status);
        assert!(response.text().contains("another process"), "{}", response.text());
        assert_eq!(Client::connect(port.address()).get("/").text(), "a");
    }
    drop(theirs);
    assert_eq!(evenkeel.reload(&listening(&format!("0.0.0.0:{number}"), &origin)).status / 100, 2);
}

#[test]
fn a_reload_that_is_refused_resets_no_connection_to_an_address_that_it_would_have_added() {
    let (origin, port) = (Origin::named("a"), Port::reserve_everywhere());
    let (narrow, number) = (port.address(), port.address().port());
    let wide = format!("0.0.0.0:{number}");
    let evenkeel = Evenkeel::start(&listening(&wide, &origin));
    let newcomers = Newcomers::start(narrow);
    // The kernel prefers the narrower address for clients of both.
    let theirs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = theirs.local_addr().unwrap();
    for _ in 0..2 {
        newcomers.more();
        let refused = evenkeel.reload(&listening(&format!("{wide}\", \"{narrow}\", \"{taken}"), &origin));
        assert_eq!(refused.status, 422);
        assert!(refused.text().contains("another process already does"), "{}", refused.text());
    }
    newcomers.more();
    newcomers.stop();
}

#[test]
fn a_listener_does_not_cover_the_admin_api() {
    let (folder, port) = (Folder::new(), Port::reserve_everywhere());
    let file = folder.write(
        "evenkeel.toml",
        &format!(
            "[admin]\nbind = \"{}\"\n[listener.web]\nbind = {}\n[[route]]\nrespond = {{}}\n",
            port.address(),
            port.address().port()
        ),
    );
    let outcome = cli(&["run", "-c", &file]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("this process already does"), "{}", outcome.stderr);
}
