//! `[overload]`: the process withdraws step by step, and what matters most is served to the last.

use crate::support::{Client, Evenkeel, Origin, eventually, pool};

/// Routes of each priority on the listener `web`; `plain` leads to none of high priority.
pub fn config(server: &Origin, overload: &str) -> String {
    format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n\
         [listener.plain]\nbind = \"127.0.0.2:0\"\npool = \"app\"\n\
         [[route]]\nlistener = \"web\"\npath = \"/low\"\npool = \"app\"\npriority = \"low\"\n\
         [[route]]\nlistener = \"web\"\npath = \"/high\"\npool = \"app\"\npriority = \"high\"\n\
         {}{overload}",
        pool(&[server], "")
    )
}

/// Has the memory in use be so many percent of `overload.memory`, and waits for the step.
pub fn use_percent(evenkeel: &Evenkeel, server: &Origin, percent: usize, step: i64) {
    let what = format!("step {step} at {percent} %");
    eventually(&what, || {
        let memory = evenkeel.resident() * 100 / percent;
        let reloaded = evenkeel.reload(&config(server, &format!("[overload]\nmemory = {memory}\n")));
        assert_eq!(reloaded.status / 100, 2, "{}", reloaded.text());
        // What the reload itself takes may be too much: then with what is in use now.
        let begun = std::time::Instant::now();
        while begun.elapsed() < crate::support::ms(1_500) {
            if evenkeel.status()["overload"]["memory"] == step {
                return true;
            }
            std::thread::sleep(crate::support::ms(20));
        }
        false
    });
}

#[test]
fn each_step_withdraws_a_little_more_and_ends_by_itself() {
    let server = Origin::named("a");
    let evenkeel = Evenkeel::start(&config(&server, ""));
    let get = |target: &str| evenkeel.get(target);
    let closes = |target: &str| get(target).header("connection") == Some("close");
    assert!(!closes("/low"));

    use_percent(&evenkeel, &server, 85, 1);
    assert_eq!((get("/low").status, closes("/low"), closes("/high")), (200, true, true));

    use_percent(&evenkeel, &server, 92, 2);
    let shed = get("/low");
    assert_eq!((shed.status, shed.header("retry-after")), (503, Some("5")));
    assert_eq!([get("/").status, get("/high").status], [200, 200]);
    assert_eq!(evenkeel.metric("evenkeel_overload_step", &["cause=\"memory\""]), 2.0);
    assert_eq!(evenkeel.metric("evenkeel_requests_refused_total", &["reason=\"overload\""]), 1.0);

    use_percent(&evenkeel, &server, 97, 3);
    assert_eq!([get("/low").status, get("/").status, get("/high").status], [503, 503, 200]);

    use_percent(&evenkeel, &server, 150, 4);
    Client::connect(evenkeel.listener("plain")).assert_closed();
    assert!(evenkeel.metric("evenkeel_connections_refused_total", &["reason=\"overload\""]) >= 1.0);
    assert_eq!([get("/").status, get("/high").status], [503, 200]);

    assert_eq!(evenkeel.reload(&config(&server, "")).status / 100, 2);
    eventually("it is over", || evenkeel.status()["overload"]["memory"] == 0);
    assert_eq!((get("/low").status, closes("/low")), (200, false));
    assert_eq!(Client::connect(evenkeel.listener("plain")).get("/").status, 200);
    eventually("it is told", || evenkeel.stderr.count(|line| line.contains("overload is over")) > 0);
}
