//! What `cache` of a route means.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use evenkeel_config::*;

fn config(lines: &str) -> Config {
    let text = format!(
        "[listener.web]\nbind = \":80\"\n[[route]]\npool = \"app\"\n{lines}\n[pool.app]\nbackends = [3000]\n[pool.parents]\nbackends = [3001]\n"
    );
    parse("test.toml", &text).unwrap_or_else(|faults| panic!("{faults}")).config
}

fn cache(lines: &str) -> Option<Cache> {
    config(lines).routes.remove(0).cache
}

#[test]
fn nothing_is_kept_unless_the_route_says_so() {
    assert_eq!((cache(""), cache("cache = false")), (None, None));
    let defaults = Cache::default();
    for same in ["cache = true", "cache = {}"] {
        assert_eq!(cache(same).as_ref(), Some(&defaults), "{same}");
    }
    assert_eq!((defaults.ttl, defaults.max_object, defaults.ignore_cookies), (None, 64 << 20, false));
    assert!(defaults.statuses.is_empty() && defaults.key.query.is_none());
    assert!(defaults.answers(CacheMethod::Get) && defaults.answers(CacheMethod::Head));
}

#[test]
fn each_key_of_cache_is_read() {
    let seconds = Duration::from_secs;
    let seen = cache(
        "cache = { ttl = \"10m\", statuses = { 200 = \"5m\", \"404\" = \"10s\", 500 = \"0s\" }, \
         key = { query = [\"sort\", \"page\", \"page\"], headers = [\"Accept-Language\"], cookies = [] }, \
         stale_while_revalidate = \"1m\", stale_if_error = \"1h\", max_object = \"1KiB\", ignore_cookies = true, \
         parent = \"parents\", methods = \"GET\" }",
    );
    let names = |names: &[&str]| Names(names.iter().map(|name| (*name).to_owned()).collect());
    let expected = Cache {
        ttl: Some(seconds(600)),
        statuses: [(200, seconds(300)), (404, seconds(10)), (500, Duration::ZERO)].into_iter().collect(),
        key: CacheKey {
            query: Some(names(&["page", "sort"])),
            headers: names(&["accept-language"]),
            cookies: names(&[]),
        },
        stale_while_revalidate: Some(seconds(60)),
        stale_if_error: Some(seconds(3_600)),
        max_object: 1_024,
        ignore_cookies: true,
        parent: Some("parents".into()),
        methods: vec![CacheMethod::Get],
    };
    assert_eq!(seen, Some(expected));
}

#[test]
fn no_parameter_is_another_thing_than_all_of_them() {
    assert_eq!(cache("cache = { key = { query = [] } }").unwrap().key.query, Some(Names::default()));
    assert_eq!(cache("cache = { key = {} }").unwrap().key.query, None);
}

#[test]
fn what_is_shown_is_read_back() {
    for lines in [
        "",
        "cache = true",
        "cache = { ttl = \"1s\" }",
        "cache = { statuses = { 404 = \"0s\", 200 = \"1m30s\" } }",
        "cache = { key = { query = [] } }",
        "cache = { key = { query = [\"a b\"], cookies = [\"c\"] }, methods = \"GET\" }",
    ] {
        let config = config(lines);
        let shown = config.to_toml();
        let again = parse("shown.toml", &shown).unwrap_or_else(|faults| panic!("{faults}\n{shown}")).config;
        assert_eq!(again.routes[0].cache, config.routes[0].cache, "{lines}\n{shown}");
        assert_eq!(again.to_toml(), shown);
    }
}

#[test]
fn the_disk_is_below_the_folder_of_the_file_and_has_no_defaults() {
    let text = |cache: &str| {
        format!("{cache}\n[listener.web]\nbind = \":80\"\npool = \"app\"\n[pool.app]\nbackends = [3000]\n")
    };
    let read = |cache: &str| parse("test.toml", &text(cache));
    assert_eq!(read("").unwrap().config.cache.disk, None);
    let disk = DiskStore { path: "/var/cache".into(), size: 1 << 30 };
    let config = read("[cache]\ndisk = { path = \"/var/cache\", size = \"1GiB\" }").unwrap().config;
    assert_eq!(config.cache.disk, Some(disk));
    let shown = config.to_toml();
    assert_eq!(parse("shown.toml", &shown).unwrap().config.cache, config.cache, "{shown}");
    for part in ["path = \"/var/cache\"", "size = \"1GiB\"", "path = \"\", size = \"1GiB\""] {
        assert!(read(&format!("[cache]\ndisk = {{ {part} }}")).is_err(), "{part}");
    }
    let folder = std::env::temp_dir().join(format!("evenkeel-disk-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("evenkeel.toml");
    std::fs::write(&file, text("[cache]\ndisk = { path = \"store\", size = \"1GiB\" }")).unwrap();
    let disk = load(&file).unwrap().config.cache.disk.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(disk.path, folder.join("store"));
}
