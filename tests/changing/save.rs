//! `evenkeel save` writes what commands have changed into the file: whole or not at all, with its comments.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{Evenkeel, Origin};

const HEAD: &str = "\
# Our balancer.
[server]
workers = 1 # enough
[admin]
bind = \"127.0.0.1:0\"
[listener.web]
bind = \"127.0.0.1:0\"
pool = \"app\"
";

/// A file as people write it, in which server a has this weight.
fn text(a: &Origin, b: &Origin, weight: &str) -> String {
    format!(
        "{HEAD}\n[pool.app]\nbackends = [\n  # the old one\n  {{ address = \"{}\", name = \"a\"{weight} }},   # rack 1\n  \
         {{ address = \"{}\", name = \"b\" }},   # rack 2\n]\n",
        a.address(),
        b.address()
    )
}

fn start(text: &str) -> Evenkeel {
    // The harness leaves a text alone that has all that it would add.
    Evenkeel::start(text)
}

#[test]
fn a_weight_is_written_and_the_rest_stays() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = start(&text(&a, &b, ""));
    let file = evenkeel.config();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let outcome = evenkeel.cli(&["save"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.starts_with("commands have changed nothing"), "{}", outcome.stdout);
    evenkeel.set_server("app", "a", "{\"weight\": 5}");
    evenkeel.set_server("app", "b", "{\"state\": \"drain\"}");
    let outcome = evenkeel.cli(&["save"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("pool app: server a: weight: 1 -> 5"), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("not saved, because the file has no key for it"), "{}", outcome.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap(), text(&a, &b, ", weight = 5"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(outcome.stdout.contains("next: `evenkeel reload`"), "{}", outcome.stdout);
    // What is in force and the file come together by a reload.
    for said in
        ["has what commands have changed already; next: `evenkeel reload`", "commands have changed nothing"]
    {
        let outcome = evenkeel.cli(&["save"]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert!(outcome.stdout.contains(said), "{}", outcome.stdout);
        assert_eq!(evenkeel.cli(&["reload"]).code, Some(0));
    }
    assert_eq!(evenkeel.server("app", "a")["weight"], 5);
}

#[test]
fn a_place_where_no_file_can_be_is_refused_with_what_is_wrong_with_it() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = start(&text(&a, &b, ""));
    evenkeel.set_server("app", "a", "{\"weight\": 5}");
    let folder = evenkeel.folder().path("");
    let plain = evenkeel.folder().write("plain", "");
    for (to, expected) in [
        (
            "none/new.toml",
            "error: `--to none/new.toml`: there is no directory none: create it first".to_owned(),
        ),
        ("none/", "error: `--to none/`: there is no directory none/: create it first".to_owned()),
        (
            &folder,
            format!("error: `--to {folder}` is a directory: name a file in it, as in {folder}evenkeel.toml"),
        ),
        (
            &format!("{plain}/new.toml"),
            format!("error: `--to {plain}/new.toml`: {plain} is a file, and no directory"),
        ),
    ] {
        let outcome = evenkeel.cli(&["save", "--to", to]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), expected.as_str()));
    }
    let outcome = evenkeel.cli(&["save", "--to", "new.toml"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn a_file_that_has_changed_is_left_alone() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let evenkeel = start(&text(&a, &b, ""));
    evenkeel.set_server("app", "a", "{\"weight\": 5}");
    let mine = text(&a, &b, ", backup = false, weight = 2");
    fs::write(evenkeel.config(), &mine).unwrap();
    let outcome = evenkeel.cli(&["save"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("differs from what is in force"), "{}", outcome.stderr);
    assert_eq!(fs::read_to_string(evenkeel.config()).unwrap(), mine);
    // Comments may change: they say nothing that is in force.
    fs::write(evenkeel.config(), format!("{}# mine\n", text(&a, &b, ""))).unwrap();
    let other = format!("{}.new", evenkeel.config());
    assert_eq!(evenkeel.cli(&["save", "--to", &other]).code, Some(0));
    assert_eq!(fs::read_to_string(&other).unwrap(), format!("{}# mine\n", text(&a, &b, ", weight = 5")));
    assert_eq!(fs::read_to_string(evenkeel.config()).unwrap(), format!("{}# mine\n", text(&a, &b, "")));
    fs::write(evenkeel.config(), &mine).unwrap();
    assert_eq!(evenkeel.cli(&["save", "--force"]).code, Some(0));
    let forced = fs::read_to_string(evenkeel.config()).unwrap();
    assert_eq!(forced, text(&a, &b, ", backup = false, weight = 5"));
}

#[test]
fn servers_and_shares_that_commands_have_changed_are_written() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let split = "[[route]]\nname = \"some\"\npath = \"/some\"\n\
        split = [{ pool = \"app\", weight = 95 }, { pool = \"new\", weight = 5 }] # slowly\n";
    let rest = format!("{split}[pool.new]\nbackends = [\"{}\"]\n", b.address());
    let evenkeel = start(&format!("{}{rest}", text(&a, &b, "")));
    for command in [
        &["server", "add", "app", "127.0.0.1:1", "--weight", "2"][..],
        &["server", "remove", "app", "b"],
        &["split", "some", "app=50", "new=50"],
    ] {
        let outcome = evenkeel.cli(command);
        assert_eq!(outcome.code, Some(0), "{command:?}: {}", outcome.stderr);
    }
    let outcome = evenkeel.cli(&["save"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let saved = fs::read_to_string(evenkeel.config()).unwrap();
    let line = format!("  {{ address = \"{}\", name = \"b\" }},   # rack 2\n", b.address());
    let added = "  { address = \"127.0.0.1:1\", weight = 2 },\n";
    let expected = text(&a, &b, "").replace(&line, added);
    let expected = format!("{expected}{rest}")
        .replace("weight = 95", "weight = 50")
        .replace("weight = 5 ", "weight = 50 ");
    assert_eq!(saved, expected);
    // A reload changes nothing of it any more.
    let outcome = evenkeel.cli(&["plan", &evenkeel.config()]);
    assert!(outcome.stdout.contains(": no change\n"), "{}", outcome.stdout);
    for said in
        ["the file has what commands have changed", "commands have changed nothing since the file was read"]
    {
        let outcome = evenkeel.cli(&["diff", "--exit-code"]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stdout);
        assert!(outcome.stdout.contains(said), "{}", outcome.stdout);
        assert_eq!(evenkeel.cli(&["reload"]).code, Some(0));
    }
}

#[test]
fn a_full_disk_leaves_the_file_as_it_was() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let text = text(&a, &b, "");
    let evenkeel = start(&text);
    evenkeel.set_server("app", "a", "{\"weight\": 5}");
    let file = evenkeel.config();
    let folder = file.rsplit_once('/').unwrap().0;
    let copy = format!("{folder}-copy.toml");
    fs::write(&copy, &text).unwrap();
    // A file system of its own over the folder, in which the file is the last that has room.
    let script = format!(
        "mount -t tmpfs -o size=16k none {folder} && cp {copy} {file} && \
         {{ dd if=/dev/zero of={folder}/fill bs=1k 2>/dev/null; \"$0\" save --admin {}; echo code $?; \
         ls -A {folder}; cat {file}; }}",
        evenkeel.admin_address()
    );
    let mut shell = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        shell.arg("--map-root-user");
    }
    let output =
        shell.args(["--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_evenkeel")]).output().unwrap();
    fs::remove_file(&copy).unwrap();
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(stderr.contains("No space left on device") && stderr.contains("is as it was"), "{stderr}");
    assert_eq!(stdout, format!("code 1\nevenkeel.toml\nfill\n{text}"), "{stderr}");
}
