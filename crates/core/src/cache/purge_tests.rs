//! Which responses purges speak of, and that none is ever forgotten.

use super::*;

const HOST: &str = "h";
const LATER: Wall = Wall::from_secs(100);

struct Object {
    sequence: u64,
    path: String,
    tags: Vec<TagId>,
}

fn object(sequence: u64, path: &str, tags: &[&str]) -> Object {
    Object { sequence, path: path.into(), tags: tags.iter().map(|tag| TagId::of(tag.as_bytes())).collect() }
}

impl Object {
    fn under(&self, rules: &PurgeRules) -> PurgeVerdict {
        rules.verdict(&Purgeable {
            sequence: self.sequence,
            url: UrlId::whole(HOST, &self.path, None),
            host: HostId::of(HOST),
            path: &self.path,
            tags: &self.tags,
        })
    }
}

#[test]
fn each_scope_speaks_of_its_own() {
    let check = |scope: Option<Scope>, expected: [bool; 3]| {
        let mut rules = PurgeRules::default();
        rules.add(2, &scope.clone().expect("a scope"), Strength::Hard);
        let objects = [object(1, "/a", &["x"]), object(1, "/a/b", &["y"]), object(1, "/c", &[])];
        assert_eq!(objects.map(|object| object.under(&rules) == PurgeVerdict::Gone), expected, "{scope:?}");
        // What was fetched after it is not meant.
        assert_eq!(object(2, "/a", &["x"]).under(&rules), PurgeVerdict::Live);
    };
    check(Some(Scope::url(HOST, "/a", None)), [true, false, false]);
    check(Some(Scope::url(HOST, "/a", Some(""))), [false, false, false]);
    check(Some(Scope::prefix(HOST, "/a")), [true, true, false]);
    check(Some(Scope::prefix("other", "/a")), [false, false, false]);
    check(Scope::host("H:80"), [true, true, true]);
    check(Some(Scope::tag("x")), [true, false, false]);
    check(Some(Scope::All), [true, true, true]);
    assert_eq!((Scope::host(""), Scope::host("h/a"), Scope::host(":80")), (None, None, None));
}

#[test]
fn responses_with_a_part_of_the_query_go_with_any_url_of_their_path() {
    let mut rules = PurgeRules::default();
    rules.add(2, &Scope::url(HOST, "/a", Some("page=1&utm=x")), Strength::Hard);
    let host = HostId::of(HOST);
    let of = |url| rules.verdict(&Purgeable { sequence: 1, url, host, path: "/a", tags: &[] });
    assert_eq!(of(UrlId::bare(HOST, "/a")), PurgeVerdict::Gone);
    assert_eq!(of(UrlId::whole(HOST, "/a", Some("page=1"))), PurgeVerdict::Live);
}

#[test]
fn soft_rules_count_from_the_first_that_is_younger() {
    let mut rules = PurgeRules::default();
    for (sequence, at) in [(2, 10), (4, 20), (6, 30)] {
        rules.add(sequence, &Scope::tag("x"), Strength::Soft(Wall::from_secs(at)));
    }
    let since = |sequence| object(sequence, "/a", &["x"]).under(&rules);
    assert_eq!(since(1), PurgeVerdict::Stale(Wall::from_secs(10)));
    assert_eq!(since(3), PurgeVerdict::Stale(Wall::from_secs(20)));
    assert_eq!((since(5), since(6)), (PurgeVerdict::Stale(Wall::from_secs(30)), PurgeVerdict::Live));
    rules.add(7, &Scope::tag("x"), Strength::Hard);
    assert_eq!(object(5, "/a", &["x"]).under(&rules), PurgeVerdict::Gone);
    assert_eq!(rules.newest(), 7);
}

#[test]
fn beyond_its_bounds_more_is_purged_and_never_less() {
    let mut rules = PurgeRules::default();
    let count = RULES_MAX as u64 + 5_000;
    for at in 0..count {
        rules.add(at + 2, &Scope::tag(&at.to_string()), Strength::Hard);
    }
    for at in 0..300 {
        rules.add(count + at + 2, &Scope::prefix("other", &format!("/{at}")), Strength::Hard);
    }
    assert!(
        rules.exact.len() <= RULES_MAX
            && rules.prefixes.len() <= PREFIXES_MAX
            && rules.order.len() <= 4 * RULES_MAX
    );
    for at in 0..count {
        assert_eq!(object(1, "/", &[&at.to_string()]).under(&rules), PurgeVerdict::Gone, "{at}");
    }
    // By mistake, about one in as many as the table has slots for each rule in it.
    let mistaken =
        (0..2_000).filter(|at| object(1, &format!("/n/{at}"), &[]).under(&rules) != PurgeVerdict::Live);
    assert!(mistaken.count() < 400);
    let prefixed = Purgeable {
        sequence: 1,
        url: UrlId::whole("other", "/0x", None),
        host: HostId::of("other"),
        path: "/0x",
        tags: &[],
    };
    assert_eq!(
        rules.verdict(&prefixed),
        PurgeVerdict::Gone,
        "the host stands in for a prefix that was forgotten"
    );
}

#[test]
fn one_rule_renewed_for_ever_takes_no_space() {
    let mut rules = PurgeRules::default();
    for sequence in 1..400_000 {
        rules.add(sequence, &Scope::tag("x"), Strength::Soft(LATER));
    }
    assert!(rules.order.len() <= 4 * RULES_MAX);
    assert_eq!(rules.len(), 1);
    assert_eq!(object(0, "/", &["x"]).under(&rules), PurgeVerdict::Stale(LATER));
}

#[test]
fn rules_that_speak_of_nothing_are_forgotten() {
    let mut rules = PurgeRules::default();
    rules.add(2, &Scope::tag("x"), Strength::Hard);
    rules.add(3, &Scope::prefix(HOST, "/a"), Strength::Hard);
    rules.add(4, &Scope::url(HOST, "/b", None), Strength::Hard);
    rules.forget(3);
    assert_eq!(rules.len(), 2, "of the last one, whole and bare");
    assert_eq!(object(3, "/b", &[]).under(&rules), PurgeVerdict::Gone);
    rules.add(5, &Scope::All, Strength::Hard);
    assert!(rules.is_empty());
    assert_eq!(object(4, "/c", &[]).under(&rules), PurgeVerdict::Gone);
}
