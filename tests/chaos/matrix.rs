//! Every fault at every point of an exchange, by method and version: what the client sees, and that nothing is left of it.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::thread;

use crate::support::chaos::{Ask, Asker, BODY, Break, Chaos, HALF, How, Point, Script, Seen, Stage, Version};
use crate::support::chaos::{descriptors, descriptors_at_rest};
use crate::support::{Evenkeel, Origin, Traffic, eventually, pool};

/// How many cases run at a time.
const AT_A_TIME: usize = 16;

/// Some cases that one server is asked to make, one after the other.
struct Task<'a> {
    index: usize,
    server: &'a Chaos,
    cases: Vec<(Ask, Version)>,
}

#[test]
fn every_fault_at_every_point_is_reported_as_it_is_and_leaves_nothing_behind() {
    check(scripts());
}

#[test]
fn every_fault_of_a_server_of_http2_is_reported_as_it_is_and_leaves_nothing_behind() {
    check(http2_scripts());
}

fn check(scripts: Vec<Script>) {
    let servers: Vec<Chaos> = scripts.into_iter().map(Chaos::start).collect();
    let healthy = Origin::named("healthy");
    let evenkeel = Evenkeel::start(&configuration(&servers, &healthy));
    let before = descriptors_at_rest(&evenkeel);
    let others = Traffic::paced(evenkeel.address(), 2, crate::support::ms(5));

    let tasks = Mutex::new(tasks(&servers));
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(task) = { tasks.lock().unwrap().pop_front() } {
                    for (number, case) in task.cases.iter().enumerate() {
                        let found = run(&evenkeel, &task, number, *case);
                        wrong.lock().unwrap().extend(found.err());
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));

    others.more(10);
    let others = others.stop();
    assert!(others.lost.is_empty(), "others lost {:?}", others.lost);
    for gauge in ["requests_in_flight", "connections", "backend_in_flight", "tunnels"] {
        eventually(&format!("{gauge} is back at 0"), || {
            evenkeel.metric(&format!("evenkeel_{gauge}"), &[]) == 0.0
        });
    }
    eventually("no descriptor is left", || descriptors(&evenkeel) <= before);
}

/// The product of points and faults, and what else servers do.
fn scripts() -> Vec<Script> {
    let mut scripts = vec![Script::Refuse, Script::Unaccepting, Script::Interim(50), Script::Interim(5_000)];
    scripts.push(Script::Early);
    for framing in [Point::SizedBody, Point::Chunk] {
        scripts.extend([Script::Trickle(framing), Script::Surplus(framing)]);
    }
    for at in Point::ALL {
        for how in How::ALL {
            // A body that ends with its connection may hold anything.
            if (at, how) != (Point::EndlessBody, How::Garbage) {
                scripts.push(Script::Fail(at, how));
            }
            // Which connection it was matters as long as nothing has come back.
            if at.is_before_head() {
                scripts.push(Script::FailKept(at, how));
            }
        }
    }
    scripts
}

/// The product of stages and faults of HTTP/2.
fn http2_scripts() -> Vec<Script> {
    let mut scripts = Vec::new();
    for at in Stage::ALL {
        for how in Break::ALL {
            // Without a stream there is none that could break; a body that was not announced may hold anything.
            let is_in_vain = at == Stage::Accepted && how.is_of_a_stream();
            if is_in_vain || (at, how) == (Stage::OpenBody, Break::Surplus) {
                continue;
            }
            scripts.push(Script::FailStream(at, how));
            if at.is_silent() && !how.is_of_a_stream() {
                scripts.push(Script::FailKeptStream(at, how));
            }
        }
    }
    scripts
}

/// What waits until a limit is reached goes first and in small pieces.
fn tasks(servers: &[Chaos]) -> VecDeque<Task<'_>> {
    let mut tasks = VecDeque::new();
    for (index, server) in servers.iter().enumerate() {
        let script = server.script();
        let asks = Ask::ALL.into_iter().filter(|ask| !script.needs_body() || ask.has_body());
        let cases = asks.flat_map(|ask| [(ask, Version::Http1), (ask, Version::Http2)]).collect::<Vec<_>>();
        if script.hangs() && script.is_kept() {
            // At a time, they would take one another's kept connections.
            tasks.push_front(Task { index, server, cases });
        } else if script.hangs() {
            for case in cases {
                tasks.push_front(Task { index, server, cases: vec![case] });
            }
        } else {
            tasks.push_back(Task { index, server, cases });
        }
    }
    tasks
}

/// One pool of one server for each script, and one for everybody else.
fn configuration(servers: &[Chaos], healthy: &Origin) -> String {
    let mut text = String::from(
        "[server]\nworkers = 2\n[log]\naccess = \"off\"\n\
         [listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\nhttp = [\"1.1\", \"2\"]\n",
    );
    for (index, server) in servers.iter().enumerate() {
        let response = if server.script().hangs() { "700ms" } else { "30s" };
        let protocol = if server.script().is_http2() { "http2" } else { "http1" };
        let _ = writeln!(
            text,
            "[[route]]\npath = \"/{index}/*\"\npool = \"s{index}\"\n[pool.s{index}]\nbackends = [\"{}\"]\n\
             timeout = {{ connect = \"700ms\", response = \"{response}\" }}\nprotocol = \"{protocol}\"",
            server.address()
        );
    }
    text + &pool(&[healthy], "")
}

/// Makes a case; what is wrong with what came of it.
fn run(
    evenkeel: &Evenkeel,
    task: &Task,
    number: usize,
    (ask, version): (Ask, Version),
) -> Result<(), String> {
    let Task { index, server, .. } = task;
    let script = server.script();
    let name = format!("{script:?} {ask:?} {version:?}");
    let id = format!("{version:?}-{ask:?}-{number}");
    let mut asker = Asker::new(evenkeel.client(), version);
    if script.is_kept() {
        let first = asker.ask(Ask::Get, &format!("/{index}/first"), "first");
        if first != Seen::Answer(200, BODY.to_owned()) {
            return Err(format!("{name}: the first answer of a connection is {first:?}"));
        }
    }
    let connections = server.connections();
    let seen = asker.ask(ask, &format!("/{index}/case"), &id);
    if !is_right(script, ask, &seen) {
        return Err(format!("{name}: {seen:?}"));
    }
    let times = server.count(&id);
    let may_repeat = ask.is_idempotent() || script.is_harmless();
    if times > if may_repeat { 3 } else { 1 } {
        return Err(format!("{name}: sent {times} times"));
    }
    let alone = !script.hangs() && matches!(script, Script::Fail(..) | Script::FailStream(..));
    let opened = server.connections() - connections;
    if alone && !may_repeat && opened > 1 {
        return Err(format!("{name}: {opened} connections for one request that may not be repeated"));
    }
    if matches!(seen, Seen::Answer(..)) || version == Version::Http2 {
        let next = if asker.is_usable() { asker.ask(Ask::Get, "/", "") } else { healthy() };
        if next != healthy() {
            return Err(format!("{name}: the next request on the client's connection got {next:?}"));
        }
    }
    Ok(())
}

fn healthy() -> Seen {
    Seen::Answer(200, "healthy".to_owned())
}

/// Whether a client may see this: the whole answer, an error of ours, or what it can see was cut.
fn is_right(script: Script, ask: Ask, seen: &Seen) -> bool {
    let whole = whole(ask);
    let status = |wanted: u16| matches!(seen, Seen::Answer(status, _) if *status == wanted);
    let (at, how) = match script {
        Script::Refuse => return status(502),
        Script::Unaccepting => return status(504),
        Script::Interim(count) if count > 1_000 => return status(502),
        Script::Trickle(_) | Script::Surplus(_) | Script::Interim(_) | Script::Early => {
            return *seen == whole;
        }
        Script::FailStream(at, how) | Script::FailKeptStream(at, how) => {
            return is_right_of_http2((at, how), script.is_kept(), ask, seen);
        }
        Script::Fail(at, how) | Script::FailKept(at, how) => (at, how),
    };
    let error = status(if how == How::Hang { 504 } else { 502 });
    if at.is_before_head() {
        // The old connection may be found dead in time, and what may be repeated goes over a fresh one.
        let is_repeated = matches!(script, Script::FailKept(..)) && at <= Point::Request && how != How::Hang;
        return error || is_repeated && *seen == whole;
    }
    match (ask, at, how) {
        // The answer is whole, so the connection was kept, and hangs under the next request.
        (Ask::Head, _, How::Reset | How::Hang) => error || *seen == whole,
        (Ask::Head, ..) => *seen == whole,
        // Its end is the body's: no reader can tell that it should have been longer.
        (_, Point::EndlessBody, How::Close | How::HalfClose) => {
            *seen == Seen::Answer(200, BODY[..HALF].to_owned())
        }
        _ => error || matches!(seen, Seen::Cut(_)),
    }
}

/// The same of a server of HTTP/2.
fn is_right_of_http2((at, how): (Stage, Break), is_kept: bool, ask: Ask, seen: &Seen) -> bool {
    let whole = whole(ask);
    let wanted = if how == Break::Hang { 504 } else { 502 };
    let error = matches!(seen, Seen::Answer(status, _) if *status == wanted);
    match (ask, at) {
        _ if at <= Stage::Interim => error || is_kept && how != Break::Hang && *seen == whole,
        // The head was all of the answer; but the connection may be gone before that has been read.
        (Ask::Head, _) => *seen == whole || error,
        // An end in good order, and no reader can tell that it came too soon.
        (_, Stage::OpenBody) if how == Break::End => *seen == Seen::Answer(200, BODY[..HALF].to_owned()),
        _ => error || matches!(seen, Seen::Cut(_)),
    }
}

fn whole(ask: Ask) -> Seen {
    Seen::Answer(200, if ask == Ask::Head { String::new() } else { BODY.to_owned() })
}
