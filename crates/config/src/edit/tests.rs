//! What is written reads as the change, and the rest of the file stays as it was.

use super::{Edit, edit};
use crate::model::{Backend, Config};
use crate::{difference, parse};

fn read(text: &str) -> Config {
    parse("test.toml", text).unwrap_or_else(|faults| panic!("{faults}\nin\n{text}")).config
}

fn server(text: &str) -> Backend {
    let text = format!("[listener.web]\nbind = 80\npool = \"app\"\n[pool.app]\nbackends = [{text}, 9]\n");
    read(&text).pools.remove(0).backends.remove(0)
}

const START: &str = "[listener.web]\nbind = 80\npool = \"app\"\n";

/// The text of the pool after an edit, and what the edit changes.
fn check(pool: &str, edits: &[Edit], expected: &str, sentences: &[&str]) {
    let text = format!("{START}{pool}");
    let changed = edit(&text, edits).unwrap();
    assert_eq!(changed.strip_prefix(START), Some(expected));
    let seen = difference(&read(&text), &read(&changed));
    let seen: Vec<&str> = seen.changes.iter().map(|change| change.sentence.as_str()).collect();
    assert_eq!(seen, sentences);
}

fn add(text: &str) -> Edit {
    Edit::AddServer { pool: "app".into(), server: server(text) }
}

fn remove(id: &str) -> Edit {
    Edit::RemoveServer { pool: "app".into(), id: id.into() }
}

fn weight(id: &str, weight: u32) -> Edit {
    Edit::Weight { pool: "app".into(), id: id.into(), weight }
}

const LINES: &str = r#"
# The pool.
[pool.app]   # it
backends = [
  # The first.
  "10.0.0.1:80",   # one
  { address = "10.0.0.2:80", name = "big", weight = 3 },   # two
  "10.0.0.3:80",   # three
  # No more.
]
algorithm = "random" # any
"#;

#[test]
fn a_server_comes_in_the_layout_of_the_others() {
    check(
        LINES,
        &[add("{ address = \"10.0.0.4:80\", name = \"new\", weight = 2, backup = true, max_connections = 7 }")],
        &LINES.replace(
            "  # No more.\n",
            "  # No more.\n  { address = \"10.0.0.4:80\", name = \"new\", weight = 2, backup = true, max_connections = 7 },\n",
        ),
        &["pool app: server new (10.0.0.4:80, weight 2, a backup) is added"],
    );
    let one = "[pool.app]\nbackends = [\"10.0.0.1:80\"] # all\n";
    check(
        one,
        &[add("\"10.0.0.2:80\""), add("81")],
        "[pool.app]\nbackends = [\"10.0.0.1:80\", \"10.0.0.2:80\", \"127.0.0.1:81\"] # all\n",
        &["pool app: server 10.0.0.2:80 is added", "pool app: server 127.0.0.1:81 is added"],
    );
    let padded = "[pool.app]\nbackends = [ 1, 2 ]\n";
    check(
        padded,
        &[add("3")],
        "[pool.app]\nbackends = [ 1, 2, \"127.0.0.1:3\" ]\n",
        &["pool app: server 127.0.0.1:3 is added"],
    );
    let no_comma = "[pool.app]\nbackends = [\n  1,\n  2 # last\n]\n";
    check(
        no_comma,
        &[add("3")],
        "[pool.app]\nbackends = [\n  1,\n  2, # last\n  \"127.0.0.1:3\",\n]\n",
        &["pool app: server 127.0.0.1:3 is added"],
    );
}

#[test]
fn a_server_goes_with_the_comment_beside_it() {
    check(
        LINES,
        &[remove("10.0.0.1:80")],
        &LINES.replace("  \"10.0.0.1:80\",   # one\n", ""),
        &["pool app: server 10.0.0.1:80 is removed"],
    );
    check(
        LINES,
        &[remove("big")],
        &LINES.replace("  { address = \"10.0.0.2:80\", name = \"big\", weight = 3 },   # two\n", ""),
        &["pool app: server big (10.0.0.2:80, weight 3) is removed"],
    );
    check(
        LINES,
        &[remove("10.0.0.3:80")],
        &LINES.replace("  \"10.0.0.3:80\",   # three\n", ""),
        &["pool app: server 10.0.0.3:80 is removed"],
    );
    let one = "[pool.app]\nbackends = [1, 2, 3] # all\n";
    for (id, left) in [("127.0.0.1:1", "2, 3"), ("127.0.0.1:2", "1, 3"), ("127.0.0.1:3", "1, 2")] {
        let expected = format!("[pool.app]\nbackends = [{left}] # all\n");
        check(one, &[remove(id)], &expected, &[&format!("pool app: server {id} is removed")]);
    }
}

#[test]
fn a_weight_changes_in_its_place() {
    check(
        LINES,
        &[weight("big", 5)],
        &LINES.replace("weight = 3", "weight = 5"),
        &["pool app: server big: weight: 3 -> 5"],
    );
    check(
        LINES,
        &[weight("10.0.0.1:80", 9)],
        &LINES.replace("\"10.0.0.1:80\",", "{ address = \"10.0.0.1:80\", weight = 9 },"),
        &["pool app: server 10.0.0.1:80: weight: 1 -> 9"],
    );
}

#[test]
fn tables_of_any_form_are_found() {
    let tables =
        "[[pool.app.backends]]\naddress = 1\n\n[[pool.app.backends]]\naddress = 2\nname = \"two\" # second\n";
    check(
        tables,
        &[weight("two", 4)],
        &format!("{tables}weight = 4\n"),
        &["pool app: server two: weight: 1 -> 4"],
    );
    check(
        tables,
        &[remove("127.0.0.1:1")],
        &tables.replace("[[pool.app.backends]]\naddress = 1\n\n", "\n"),
        &["pool app: server 127.0.0.1:1 is removed"],
    );
    check(
        tables,
        &[add("3")],
        &format!("{tables}\n[[pool.app.backends]]\naddress = \"127.0.0.1:3\"\n"),
        &["pool app: server 127.0.0.1:3 is added"],
    );
    let inline = "[pool]\napp = { backends = [1], algorithm = \"random\" }\n";
    check(
        inline,
        &[add("2")],
        &inline.replace("[1]", "[1, \"127.0.0.1:2\"]"),
        &["pool app: server 127.0.0.1:2 is added"],
    );
}

#[test]
fn the_weights_of_a_split_change_in_their_places() {
    let text = "[listener.web]\nbind = 80\n[[route]]\npath = \"/a\"\npool = \"app\"\n[[route]]\n\
        split = [{ pool = \"app\", weight = 95 }, { pool = \"blue\" }] # some\n\
        [pool.app]\nbackends = [1]\n[pool.blue]\nbackends = [2]\n";
    let weights = vec![("app".into(), 90), ("blue".into(), 10)];
    let changed = edit(text, &[Edit::Split { route: 1, weights }]).unwrap();
    let expected = "split = [{ pool = \"app\", weight = 90 }, { pool = \"blue\", weight = 10 }] # some\n";
    assert!(changed.contains(expected), "{changed}");
    read(&changed);
}

#[test]
fn what_is_not_there_is_refused() {
    let text = format!("{START}{LINES}");
    for (edits, why) in [
        (remove("none"), "pool app of the file has no server none"),
        (Edit::Weight { pool: "none".into(), id: "a".into(), weight: 1 }, "the file has no pool none"),
        (Edit::Split { route: 3, weights: Vec::new() }, "the file has no such `split`"),
    ] {
        assert_eq!(edit(&text, &[edits]), Err(why.to_owned()));
    }
    assert!(edit("not [ toml", &[]).unwrap_err().starts_with("this is not TOML"));
}

#[test]
fn without_a_change_the_text_stays() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let text = std::fs::read_to_string(folder.join("everything.toml")).unwrap();
    assert_eq!(edit(&text, &[]).unwrap(), text);
}
