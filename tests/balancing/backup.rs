//! Backup servers are used when no other server is up, and only then.

use crate::support::{Evenkeel, Origin};

fn start(main: &Origin, backup: &Origin, keys: &str) -> Evenkeel {
    Evenkeel::start(&format!(
        "[pool.app]\nbackends = [{{ address = \"{}\", name = \"main\" }}, \
         {{ address = \"{}\", name = \"backup\", backup = true }}]\n{keys}\n",
        main.address(),
        backup.address()
    ))
}

#[test]
fn the_backup_waits_until_the_main_server_is_down() {
    let (main, backup) = (Origin::named("main"), Origin::named("backup"));
    let health = "health = { kind = \"tcp\", interval = \"100ms\", timeout = \"100ms\", fall = 1 }";
    let evenkeel = start(&main, &backup, health);
    evenkeel.wait_for_state("main", "up");
    evenkeel.wait_for_state("backup", "up");
    let mut client = evenkeel.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "main");
    }
    main.stop();
    evenkeel.wait_for_state("main", "down");
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "backup");
    }
    main.resume();
    evenkeel.wait_for_state("main", "up");
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "main");
    }
}

#[test]
fn the_backup_takes_a_request_that_the_main_server_refused() {
    let (main, backup) = (Origin::refusing("main"), Origin::named("backup"));
    let evenkeel = start(&main, &backup, "");
    for _ in 0..5 {
        assert_eq!(evenkeel.get("/").text(), "backup");
    }
}

#[test]
fn a_drained_main_server_leaves_the_work_to_the_backup() {
    let (main, backup) = (Origin::named("main"), Origin::named("backup"));
    let evenkeel = start(&main, &backup, "");
    evenkeel.set_server("app", "main", "{\"state\":\"drain\"}");
    for _ in 0..5 {
        assert_eq!(evenkeel.get("/").text(), "backup");
    }
}
