//! Commands find the process that they ask: by its control socket, which belongs to the user.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use crate::support::{Evenkeel, Folder, Origin, eventually, pool};

const NO_ADDRESS: &str = "[admin]\nbind = \"off\"\n";

fn balancer(origin: &Origin) -> Evenkeel {
    Evenkeel::start(&format!("{NO_ADDRESS}{}", pool(&[origin], "")))
}

#[test]
fn a_command_without_arguments_finds_the_only_process() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin);
    assert_eq!(evenkeel.get("/").text(), "a");
    let outcome = evenkeel.cli(&["status"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    for part in ["no problem", "listener", "pool app (round-robin): 1 of 1 servers usable", "up"] {
        assert!(outcome.stdout.to_lowercase().contains(part), "no {part} in\n{}", outcome.stdout);
    }
    let outcome = evenkeel.cli(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(status["config"], evenkeel.config());
    assert_eq!(status["pools"][0]["servers"][0]["id"], "a");
}

#[test]
fn several_processes_are_told_apart_by_their_files() {
    let origin = Origin::named("a");
    let folder = Arc::new(Folder::new());
    let text = format!("{NO_ADDRESS}[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n");
    let (one, two) =
        (folder.write("one.toml", &(text.clone() + &pool(&[&origin], ""))), folder.path("two.toml"));
    fs::copy(&one, &two).unwrap();
    let (first, second) = (
        Evenkeel::run(folder.clone(), &["run", "-c", &one]),
        Evenkeel::run(folder.clone(), &["run", "-c", &two]),
    );
    let outcome = folder.cli(&["status"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stdout);
    assert!(outcome.stderr.contains(&one) && outcome.stderr.contains(&two), "{}", outcome.stderr);
    for (file, process) in [(&one, &first), (&two, &second)] {
        // However the file is named.
        let relative = format!("./{}", file.rsplit('/').next().unwrap());
        for name in [file, &relative] {
            let outcome = folder.cli(&["status", "-c", name, "--json"]);
            let status: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
            assert_eq!(status["pid"], process.pid(), "{name}");
        }
    }
}

/// A process that runs `other.toml`, in a folder whose `evenkeel.toml` no process runs.
fn beside_another_file(origin: &Origin) -> (Arc<Folder>, Evenkeel, String) {
    let folder = Arc::new(Folder::new());
    let listener = "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n";
    let other = folder.write("other.toml", &format!("{NO_ADDRESS}{listener}{}", pool(&[origin], "")));
    folder.write("evenkeel.toml", &format!("{NO_ADDRESS}{listener}{}", pool(&[origin], "")));
    let running = Evenkeel::run(folder.clone(), &["run", "-c", &other]);
    (folder, running, other)
}

#[test]
fn a_change_never_goes_to_a_process_of_another_file() {
    let origin = Origin::named("a");
    let (folder, running, other) = beside_another_file(&origin);
    let changes: [&[&str]; 12] = [
        &["drain", "app", "a"],
        &["disable", "app", "a"],
        &["weight", "app", "a", "7"],
        &["server", "add", "app", "127.0.0.1:9"],
        &["server", "remove", "app", "a"],
        &["purge", "--all"],
        &["log-level", "error"],
        &["reload"],
        &["confirm"],
        &["save"],
        &["upgrade"],
        &["split", "release", "a=1"],
    ];
    let is_refused = |arguments: &[&str]| {
        let outcome = folder.cli(arguments);
        assert_eq!(outcome.code, Some(1), "{arguments:?}: {}", outcome.stdout);
        for part in [
            "no process runs evenkeel.toml",
            &format!("process {}: `-c {other}`", running.pid()),
            &format!("`--admin unix:{}`", running.control_socket()),
        ] {
            assert!(outcome.stderr.contains(part), "{arguments:?}: no {part} in {}", outcome.stderr);
        }
    };
    changes.into_iter().for_each(is_refused);
    assert_eq!(running.stderr.count(|line| line.contains("operator: ") || line.contains("upgrade: ")), 0);
    // One that looks may ask it.
    let looked = folder.cli(&["status", "--json"]);
    assert_eq!(looked.code, Some(0), "{}", looked.stderr);
    assert!(
        looked.stderr.contains("note: no process runs evenkeel.toml; asking process"),
        "{}",
        looked.stderr
    );
    assert_eq!(folder.cli(&["weight", "app", "a", "7", "-c", &other]).code, Some(0));
    // The same while the file is wrong.
    folder.write("evenkeel.toml", "[listener.web\n");
    is_refused(&["drain", "app", "a"]);
    let second = folder.write("second.toml", &fs::read_to_string(&other).unwrap());
    let _second = Evenkeel::run(folder.clone(), &["run", "-c", &second]);
    for command in [&["status"][..], &["drain", "app", "a"]] {
        let outcome = folder.cli(command);
        assert_eq!(outcome.code, Some(1));
        for part in ["none of them runs evenkeel.toml", &other, &second] {
            assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
        }
    }
}

#[test]
fn what_answers_at_the_address_of_the_file_here_must_run_that_file() {
    let origin = Origin::named("a");
    let folder = Arc::new(Folder::new());
    let listener = "[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n";
    let rest = format!("{listener}{}", pool(&[&origin], ""));
    let other =
        folder.write("other.toml", &format!("[admin]\nbind = \"127.0.0.1:0\"\nsocket = \"off\"\n{rest}"));
    let running = Evenkeel::run(folder.clone(), &["run", "-c", &other]);
    let address = running.admin_address();
    folder.write("evenkeel.toml", &format!("[admin]\nbind = \"{address}\"\n{rest}"));
    let outcome = folder.cli(&["drain", "app", "a"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stdout);
    for part in ["no process runs evenkeel.toml", &other, &format!("`--admin {address}`")] {
        assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
    }
    assert_eq!(folder.cli(&["drain", "app", "a", "--admin", &address.to_string()]).code, Some(0));
}

#[test]
fn a_file_that_is_not_there_is_called_so() {
    let folder = Folder::new();
    for command in [&["status", "-c", "nothere.toml"][..], &["drain", "app", "a", "-c", "nothere.toml"]] {
        let outcome = folder.cli(command);
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.stderr.contains("there is no file nothere.toml"), "{}", outcome.stderr);
    }
}

#[test]
fn processes_without_a_file_are_named_by_their_sockets() {
    let origin = Origin::named("a");
    let folder = Arc::new(Folder::new());
    let backend = origin.address().to_string();
    let start = || Evenkeel::run(folder.clone(), &["run", "--listen", "127.0.0.1:0", "--backend", &backend]);
    let (first, second) = (start(), start());
    let outcome = folder.cli(&["status"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stdout);
    for process in [&first, &second] {
        let part = format!("without a file: `--admin unix:{}`", process.control_socket());
        assert!(outcome.stderr.contains(&part), "no {part} in {}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("`-c"), "{}", outcome.stderr);
}

#[test]
fn a_process_that_was_killed_is_not_found_and_its_socket_goes() {
    let origin = Origin::named("a");
    let folder = Arc::new(Folder::new());
    let file = folder.write(
        "other.toml",
        &format!(
            "{NO_ADDRESS}[listener.web]\nbind = [\"127.0.0.1:0\"]\npool = \"app\"\n{}",
            pool(&[&origin], "")
        ),
    );
    let mut dead = Evenkeel::run(folder.clone(), &["run", "-c", &file]);
    dead.signal(rustix::process::Signal::KILL);
    dead.wait_exit();
    let socket = format!("{}/{}.sock", folder.path("run"), dead.pid());
    assert!(fs::metadata(&socket).is_ok(), "a killed process leaves its socket behind");
    let alive = Evenkeel::run(folder.clone(), &["run", "-c", &file]);
    let outcome = folder.cli(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(status["pid"], alive.pid());
    assert!(fs::metadata(&socket).is_err(), "the socket of the dead process is still there");
}

#[test]
fn a_process_that_leaves_takes_its_socket_with_it() {
    let origin = Origin::named("a");
    let mut evenkeel = balancer(&origin);
    let socket = evenkeel.control_socket();
    assert!(fs::metadata(&socket).is_ok());
    evenkeel.signal(rustix::process::Signal::TERM);
    evenkeel.wait_exit();
    eventually("the socket is gone", || fs::metadata(&socket).is_err());
    let outcome = evenkeel.cli(&["status"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("no process of this user runs"), "{}", outcome.stderr);
}

#[test]
fn the_socket_is_for_its_user_alone() {
    let origin = Origin::named("a");
    let evenkeel = balancer(&origin);
    let socket = evenkeel.control_socket();
    let file = fs::metadata(&socket).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.mode() & 0o777, 0o600);
    let folder = std::path::Path::new(&socket).parent().unwrap();
    assert_eq!(fs::metadata(folder).unwrap().mode() & 0o777, 0o700);
    // Only root can become another user; where files let that user in, the process does not.
    if file.uid() != 0 {
        return;
    }
    let open = std::env::temp_dir().join(format!("evenkeel-open-{}", std::process::id()));
    fs::create_dir_all(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    let path = open.join("control.sock");
    let text = format!("[admin]\nbind = \"off\"\nsocket = {path:?}\n{}", pool(&[&origin], ""));
    let evenkeel = Evenkeel::start(&text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let ask = |uid: u32| {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", path.to_str().unwrap()]);
        curl.arg("http://localhost/status").uid(uid);
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    };
    assert_eq!((ask(0).as_str(), ask(65_534).as_str()), ("200", "403"));
    drop(evenkeel);
    fs::remove_dir_all(open).unwrap();
}

#[test]
fn a_directory_that_others_may_write_to_holds_no_socket() {
    let origin = Origin::named("a");
    let folder = Folder::new();
    let run = folder.path("run");
    fs::create_dir(&run).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o777)).unwrap();
    // As another user would leave it there, to be asked in the place of the process.
    let _false = UnixListener::bind(format!("{run}/1.sock")).unwrap();
    let evenkeel = Evenkeel::start_in(folder, &pool(&[&origin], ""));
    assert!(
        evenkeel.stderr.count(|line| line.contains("WARN") && line.contains("others may write to it")) > 0
    );
    let admin = evenkeel.admin_address().to_string();
    assert_eq!(evenkeel.cli(&["status", "--admin", &admin]).code, Some(0));
    let outcome = evenkeel.cli(&["status"]);
    assert!(!outcome.stderr.contains("1.sock"), "{}", outcome.stderr);
    assert_eq!(fs::read_dir(&run).unwrap().count(), 1, "nothing was added or removed");
}

#[test]
fn a_process_without_a_file_has_the_admin_address_of_its_command_line() {
    let origin = Origin::named("a");
    let folder = Arc::new(Folder::new());
    let backend = origin.address().to_string();
    let arguments = ["run", "--listen", "127.0.0.1:0", "--backend", &backend, "--admin", "127.0.0.1:0"];
    let (first, second) =
        (Evenkeel::run(folder.clone(), &arguments), Evenkeel::run(folder.clone(), &arguments));
    for process in [&first, &second] {
        let outcome = folder.cli(&["status", "--json", "--admin", &process.admin_address().to_string()]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let status: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(status["pid"], process.pid());
    }
}
