//! What a settings file may say, and how its errors read.

use super::*;

fn parse(text: &str) -> Result<Settings, String> {
    Settings::parse(text, PathBuf::from("/etc/minigram")).map_err(|error| format!("{error:#}"))
}

#[test]
fn embedded_engines_need_a_directory() {
    let settings = parse("engines = \"embedded\"\n[embedded]\ndirectory = \"state\"\n").unwrap();
    let directory = settings.embedded.as_ref().unwrap().directory.clone();
    assert_eq!(settings.path(&directory), Path::new("/etc/minigram/state"));
    let error = parse("engines = \"embedded\"").unwrap_err();
    assert!(error.contains("[embedded]"), "{error}");
}

#[test]
fn an_error_names_the_key_and_its_line() {
    let error =
        parse("engines = \"embedded\"\n[embedded]\ndirectory = \"state\"\ndirectories = 2\n").unwrap_err();
    assert!(error.contains("line 4") && error.contains("directories"), "{error}");
    let error = parse("engines = \"magic\"\n").unwrap_err();
    assert!(error.contains("line 1") && error.contains("embedded"), "{error}");
}

#[test]
fn a_secret_is_read_without_its_line_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, "0123456789\n").unwrap();
    assert_eq!(read_secret(&file).unwrap(), "0123456789");
    fs::write(&file, "\n").unwrap();
    assert!(read_secret(&file).unwrap_err().to_string().contains("is empty"));
    fs::write(&file, vec![b'x'; 5000]).unwrap();
    assert!(read_secret(&file).unwrap_err().to_string().contains("4096 are allowed"));
}

#[test]
fn servers_and_workers_purge_the_edges_and_an_address_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), "0123456789abcdef0123456789abcdef").unwrap();
    fs::write(folder.path().join("token"), "secret\n").unwrap();
    let settings = |admin: &str| {
        let text = format!(
            "engines = \"embedded\"\nembedded = {{ directory = \"state\" }}\ntokens = {{ key_file = \"key\" }}\n\
             [[edge]]\nadmin = \"{admin}\"\ntoken_file = \"token\"\n"
        );
        Settings::parse(&text, folder.path().to_owned()).unwrap()
    };
    let named = settings("http://web:9900");
    for edge in [named.server("app").unwrap().edge, named.worker("worker").unwrap().edge] {
        assert_eq!(edge.len(), 1);
        assert_eq!((edge[0].admin.as_str(), edge[0].token.as_deref()), ("http://web:9900", Some("secret")));
    }
    for wrong in ["web:9900", "ftp://web", "127.0.0.1"] {
        let error = format!("{:#}", settings(wrong).worker("worker").unwrap_err());
        assert!(error.contains(wrong), "{error}");
    }
}
