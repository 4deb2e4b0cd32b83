//! A tiny reference cache, straight from the text of RFC 9111 and 5861, against the policy: random requests, answers, clock
//! steps, purges and faults, in virtual time. The reference reads no header fields and keeps no key: it knows what the server
//! meant, and walks over everything it has.

use std::time::Duration;

use evenkeel_config::Cache;

use super::rig::{Answer, Ask, From, Head, Reply, Rig};
use super::*;

type Rng = fastrand::Rng;

/// What a server says of its answer.
#[derive(Debug, Clone, Default)]
struct Said {
    directives: Option<Directives>,
    expires: Option<i64>,
    date: Option<i64>,
    modified: Option<u64>,
    age: Option<u64>,
    vary: Option<bool>,
    etag: Option<u32>,
    cookie: bool,
    tag: Option<u8>,
}

#[derive(Debug, Clone, Default)]
struct Directives {
    words: Vec<&'static str>,
    max_age: Option<u64>,
    s_maxage: Option<u64>,
    swr: Option<u64>,
    sie: Option<u64>,
}

impl Directives {
    fn random(rng: &mut Rng) -> Self {
        let words = [
            "no-store",
            "private",
            "no-cache",
            "must-revalidate",
            "proxy-revalidate",
            "public",
            "immutable",
            "must-understand",
        ];
        let words = words.into_iter().filter(|_| rng.u8(..12) == 0).collect();
        let mut seconds = |chance: u8| (rng.u8(..chance) == 0).then(|| [0, 5, 20, 60][rng.usize(..4)]);
        Self { words, max_age: seconds(2), s_maxage: seconds(6), swr: seconds(4), sie: seconds(4) }
    }

    fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    fn text(&self) -> String {
        let mut out: Vec<String> = self.words.iter().map(ToString::to_string).collect();
        let numbers = [
            ("max-age", self.max_age),
            ("s-maxage", self.s_maxage),
            ("stale-while-revalidate", self.swr),
            ("stale-if-error", self.sie),
        ];
        out.extend(numbers.iter().filter_map(|(name, value)| Some(format!("{name}={}", (*value)?))));
        out.join(", ")
    }
}

impl Said {
    fn random(rng: &mut Rng) -> Self {
        let some = |rng: &mut Rng, chance: u8| rng.u8(..chance) == 0;
        Self {
            directives: (!some(rng, 6)).then(|| Directives::random(rng)),
            expires: some(rng, 5).then(|| [-10, 0, 15, 40][rng.usize(..4)]),
            date: some(rng, 2).then(|| [0, 0, -5, -30, 7][rng.usize(..5)]),
            modified: some(rng, 4).then(|| [0, 100, 1_000][rng.usize(..3)]),
            age: some(rng, 8).then(|| [0, 3, 30][rng.usize(..3)]),
            vary: some(rng, 3).then(|| rng.bool()),
            etag: None,
            cookie: some(rng, 12),
            tag: some(rng, 3).then(|| rng.u8(..3)),
        }
    }

    fn head(&self, now: u64) -> Head {
        let date = |offset: i64| Wall::from_secs(now.saturating_add_signed(offset)).http_date();
        let mut out = Head::new();
        let mut add = |name: &str, value: Option<String>| {
            out.extend(value.map(|value| (name.to_owned(), value)));
        };
        add("Cache-Control", self.directives.as_ref().map(Directives::text));
        add("Expires", self.expires.map(date));
        add("Date", self.date.map(date));
        add("Last-Modified", self.modified.map(|ago| Wall::from_secs(now - ago).http_date()));
        add("Age", self.age.map(|age| age.to_string()));
        add("Vary", self.vary.map(|foo| if foo { "Foo" } else { "Bar" }.to_owned()));
        add("ETag", self.etag.map(|etag| format!("\"{etag}\"")));
        add("Set-Cookie", self.cookie.then(|| "a=b".to_owned()));
        add("Cache-Tag", self.tag.map(|tag| format!("t{tag}")));
        out
    }

    /// What holds after a 304 that says `new`.
    fn freshened(&self, new: &Self, then: u64, now: u64) -> Self {
        // The reference keeps dates as they are seen from `then`.
        let shift = (now - then) as i64;
        Self {
            directives: new.directives.clone().or_else(|| self.directives.clone()),
            expires: new.expires.or(self.expires.map(|at| at - shift)),
            date: new.date,
            modified: new.modified.or(self.modified.map(|ago| ago + now - then)),
            age: new.age,
            vary: new.vary.or(self.vary),
            etag: self.etag,
            cookie: new.cookie,
            tag: new.tag.or(self.tag),
        }
    }
}

/// What a client asks.
#[derive(Debug, Clone, Default)]
struct Request {
    post: bool,
    path: &'static str,
    foo: Option<&'static str>,
    authorization: bool,
    no_store: bool,
    no_cache: bool,
    only_if_cached: bool,
    max_age: Option<u64>,
    min_fresh: Option<u64>,
    max_stale: Option<u64>,
}

const PATHS: [&str; 4] = ["/a", "/a/b", "/c", "/c/d"];

impl Request {
    fn random(rng: &mut Rng) -> Self {
        let seconds = |rng: &mut Rng| (rng.u8(..12) == 0).then(|| [0, 5, 20][rng.usize(..3)]);
        Self {
            post: rng.u8(..25) == 0,
            path: PATHS[rng.usize(..PATHS.len())],
            foo: [None, Some("1"), Some("2")][rng.usize(..3)],
            authorization: rng.u8(..12) == 0,
            no_store: rng.u8(..40) == 0,
            no_cache: rng.u8(..20) == 0,
            only_if_cached: rng.u8(..20) == 0,
            max_age: seconds(rng),
            min_fresh: seconds(rng),
            max_stale: seconds(rng),
        }
    }

    fn ask(&self) -> Ask {
        let mut directives: Vec<String> = Vec::new();
        let words = [
            ("no-store", self.no_store),
            ("no-cache", self.no_cache),
            ("only-if-cached", self.only_if_cached),
        ];
        directives.extend(words.iter().filter(|(_, is_set)| *is_set).map(|(word, _)| (*word).to_owned()));
        let numbers =
            [("max-age", self.max_age), ("min-fresh", self.min_fresh), ("max-stale", self.max_stale)];
        directives.extend(numbers.iter().filter_map(|(name, value)| Some(format!("{name}={}", (*value)?))));
        let mut head = Head::new();
        if !directives.is_empty() {
            head.push(("cache-control".into(), directives.join(",")));
        }
        head.extend(self.foo.map(|foo| ("foo".to_owned(), foo.to_owned())));
        if self.authorization {
            head.push(("authorization".into(), "Basic eA==".into()));
        }
        let method = if self.post { "POST" } else { "GET" };
        Ask { method, path: self.path.into(), query: None, head, body: self.post }
    }
}

/// An answer that the reference has kept.
#[derive(Debug, Clone)]
struct Entry {
    path: &'static str,
    foo: Option<&'static str>,
    status: u16,
    said: Said,
    body: String,
    received: u64,
    /// When it was purged softly.
    soft: Option<u64>,
}

impl Entry {
    fn directives(&self) -> Directives {
        self.said.directives.clone().unwrap_or_default()
    }

    fn must_revalidate(&self) -> bool {
        ["no-cache", "must-revalidate", "proxy-revalidate"].iter().any(|word| self.directives().has(word))
    }

    /// RFC 9111, 4.2.1 and 4.2.2, and what the route says.
    fn lifetime(&self, rules: &Cache) -> Option<u64> {
        let said = self.directives();
        if let Some(by_route) = by_route(rules, self.status) {
            return by_route.map(|seconds| seconds + self.initial_age());
        }
        let date = self.said.date.unwrap_or(0);
        let explicit = said.s_maxage.or(said.max_age);
        let explicit = explicit.or(self.said.expires.map(|at| u64::try_from(at - date).unwrap_or(0)));
        if explicit.is_some() {
            return explicit;
        }
        let may_guess = said.has("public") || [200, 404].contains(&self.status);
        let unchanged = self.said.modified.map(|ago| u64::try_from(ago as i64 + date).unwrap_or(0));
        match (may_guess, unchanged) {
            (true, Some(unchanged)) => Some(unchanged / 10),
            (true, None) if self.said.etag.is_some() => Some(0),
            _ => None,
        }
    }

    /// RFC 9111, 4.2.3; a `Date` up to ten seconds behind is a clock that differs.
    fn initial_age(&self) -> u64 {
        let apparent = u64::try_from(-self.said.date.unwrap_or(0)).unwrap_or(0);
        let apparent = if apparent <= 10 { 0 } else { apparent };
        apparent.max(self.said.age.unwrap_or(0))
    }

    fn age(&self, now: u64) -> u64 {
        self.initial_age() + (now - self.received)
    }

    fn is_fresh(&self, rules: &Cache, now: u64) -> bool {
        self.soft.is_none() && self.lifetime(rules).is_some_and(|lifetime| lifetime > self.age(now))
    }

    /// For how long it has been stale.
    fn staleness(&self, rules: &Cache, now: u64) -> u64 {
        let by_age = self.age(now).saturating_sub(self.lifetime(rules).unwrap_or(0));
        by_age.max(self.soft.map_or(0, |at| now - at))
    }

    fn window(&self, own: Option<u64>, route: Option<Duration>) -> u64 {
        if self.must_revalidate() { 0 } else { own.or(route.map(|it| it.as_secs())).unwrap_or(0) }
    }

    fn swr(&self, rules: &Cache) -> u64 {
        self.window(self.directives().swr, rules.stale_while_revalidate)
    }

    fn sie(&self, rules: &Cache) -> u64 {
        self.window(self.directives().sie, rules.stale_if_error)
    }

    /// RFC 9111, 3 and 3.5, and what is of no use.
    fn is_kept(&self, rules: &Cache, authorization: bool, now: u64) -> bool {
        let said = self.directives();
        let is_for_others = said.has("public") || said.has("must-revalidate") || said.s_maxage.is_some();
        let forbidden = said.has("no-store") && !said.has("must-understand")
            || said.has("must-understand") && self.status == 599
            || said.has("private")
            || authorization && !is_for_others
            || self.said.cookie && !rules.ignore_cookies;
        let of_use = self.is_fresh(rules, now) && !said.has("no-cache")
            || self.swr(rules) > 0
            || self.sie(rules) > 0
            || self.said.etag.is_some()
            || self.said.modified.is_some();
        !forbidden && self.lifetime(rules).is_some() && of_use
    }

    fn selects(&self, request: &Request) -> bool {
        self.path == request.path && (self.said.vary != Some(true) || self.foo == request.foo)
    }
}

/// `Some(None)`: the route keeps no such status; `None`: it says nothing of it.
fn by_route(rules: &Cache, status: u16) -> Option<Option<u64>> {
    match (rules.statuses.of(status), rules.ttl) {
        (Some(ttl), _) => Some(Some(ttl.as_secs()).filter(|ttl| *ttl > 0)),
        (None, Some(ttl)) if status == 200 => Some(Some(ttl.as_secs())),
        (None, _) => (!rules.statuses.is_empty()).then_some(None),
    }
}

/// What the server does if it is asked.
#[derive(Debug, Clone)]
struct Plan {
    fails: bool,
    status: u16,
    said: Said,
    /// The tag of what it has now.
    etag: Option<u32>,
    body: String,
}

#[derive(Debug, Default)]
struct Reference {
    rules: Cache,
    entries: Vec<Entry>,
}

/// What a client gets: where from, which body, and its age.
type Got = (From, String, Option<u64>);

impl Reference {
    fn ask(&mut self, request: &Request, now: u64, down: bool, plan: &Plan) -> Got {
        let own = |_| (From::Own, String::new(), None);
        if request.post || request.no_store {
            if plan.fails {
                return own(502);
            }
            if request.post && plan.status < 400 {
                self.entries.retain(|entry| entry.path != request.path);
            }
            return (From::Server, plan.body.clone(), plan.said.age);
        }
        // RFC 9111, 4.1: of several that match, the one with the newest date; of equal ones the last.
        let date = |entry: &Entry| entry.received.saturating_add_signed(entry.said.date.unwrap_or(0));
        let found = (0..self.entries.len())
            .filter(|at| self.entries[*at].selects(request))
            .max_by_key(|at| date(&self.entries[*at]));
        let Some(at) = found else {
            if request.only_if_cached {
                return own(504);
            }
            return self.fetch(request, now, None, plan);
        };
        let entry = self.entries[at].clone();
        match self.use_of(&entry, request, now, down) {
            Some(From::Stale(StaleUse::WhileRevalidate)) => {
                self.fetch(request, now, Some(at), plan);
                (From::Stale(StaleUse::WhileRevalidate), entry.body.clone(), Some(entry.age(now)))
            }
            Some(from) => (from, entry.body.clone(), Some(entry.age(now))),
            None if request.only_if_cached => own(504),
            None => self.fetch(request, now, Some(at), plan),
        }
    }

    /// How the entry may answer without a server; RFC 9111, 4.2.4 and 5.2.1.
    fn use_of(&self, entry: &Entry, request: &Request, now: u64, down: bool) -> Option<From> {
        let (rules, said) = (&self.rules, entry.directives());
        if said.has("no-cache") {
            return None;
        }
        let fresh = entry.is_fresh(rules, now);
        let immutable = fresh && said.has("immutable");
        let demanded = request.no_cache || request.max_age.is_some_and(|max| entry.age(now) >= max);
        let left = entry.lifetime(rules).unwrap_or(0).saturating_sub(entry.age(now));
        let enough = request.min_fresh.is_none_or(|min| left >= min);
        if fresh && enough && (!demanded || immutable) {
            return Some(From::Fresh);
        }
        let staleness = entry.staleness(rules, now);
        let may_be_stale = !entry.must_revalidate();
        let unbound = request.max_age.is_none() && request.min_fresh.is_none() && !request.no_cache;
        let max_stale = request.max_stale.is_some_and(|max| staleness < max);
        let demanded = demanded && !immutable;
        if !fresh && !demanded && may_be_stale && max_stale && said.s_maxage.is_none() && entry.soft.is_none()
        {
            return Some(From::Stale(StaleUse::MaxStale));
        }
        if !fresh && unbound && may_be_stale && staleness < entry.swr(rules) {
            return Some(From::Stale(StaleUse::WhileRevalidate));
        }
        (down && self.stands_in(entry, now)).then_some(From::Stale(StaleUse::IfError))
    }

    /// RFC 5861, 4.
    fn stands_in(&self, entry: &Entry, now: u64) -> bool {
        !entry.must_revalidate() && entry.staleness(&self.rules, now) < entry.sie(&self.rules)
    }

    fn fetch(&mut self, request: &Request, now: u64, at: Option<usize>, plan: &Plan) -> Got {
        let old = at.map(|at| self.entries[at].clone());
        let is_error = plan.fails || [500, 502, 503, 504].contains(&plan.status);
        let validates = old.as_ref().is_some_and(|old| old.said.etag.is_some() && old.said.etag == plan.etag);
        if !plan.fails && validates {
            return self.freshen(request, now, at.expect("there is an old one"), plan);
        }
        if is_error && let Some(old) = old.filter(|old| self.stands_in(old, now)) {
            return (From::Stale(StaleUse::IfError), old.body.clone(), Some(old.age(now)));
        }
        if plan.fails {
            return (From::Own, String::new(), None);
        }
        let said = Said { etag: plan.etag, ..plan.said.clone() };
        let entry = Entry {
            path: request.path,
            foo: request.foo,
            status: plan.status,
            said,
            body: plan.body.clone(),
            received: now,
            soft: None,
        };
        let got = (From::Server, entry.body.clone(), entry.said.age);
        if entry.is_kept(&self.rules, request.authorization, now) {
            self.put(entry);
        }
        got
    }

    fn freshen(&mut self, request: &Request, now: u64, at: usize, plan: &Plan) -> Got {
        let old = self.entries.remove(at);
        let entry = Entry {
            foo: request.foo,
            said: old.said.freshened(&plan.said, old.received, now),
            received: now,
            soft: None,
            ..old
        };
        let (body, age) = (entry.body.clone(), entry.age(now));
        if entry.is_kept(&self.rules, request.authorization, now) {
            self.put(entry);
            return (From::Revalidated, body, Some(age));
        }
        (From::Revalidated, body, entry.said.age)
    }

    /// It takes the place of the one that the same requests select.
    fn put(&mut self, entry: Entry) {
        let key = |entry: &Entry| {
            (entry.path, entry.said.vary, entry.foo.filter(|_| entry.said.vary == Some(true)))
        };
        self.entries.retain(|other| key(other) != key(&entry));
        self.entries.push(entry);
    }

    fn purge(&mut self, matches: impl Fn(&Entry) -> bool, soft: Option<u64>) {
        match soft {
            None => self.entries.retain(|entry| !matches(entry)),
            Some(at) => {
                // It stays stale since the first time.
                let purged = self.entries.iter_mut().filter(|entry| matches(entry));
                purged.for_each(|entry| entry.soft = entry.soft.or(Some(at)));
            }
        }
    }
}

fn rules(rng: &mut Rng) -> Cache {
    let seconds = |rng: &mut Rng| (rng.u8(..4) == 0).then(|| Duration::from_secs([10, 30][rng.usize(..2)]));
    let statuses = [(200, Duration::from_secs(12)), (404, Duration::from_secs(3)), (500, Duration::ZERO)];
    Cache {
        ttl: seconds(rng),
        statuses: statuses.into_iter().filter(|_| rng.u8(..6) == 0).collect(),
        stale_while_revalidate: seconds(rng),
        stale_if_error: seconds(rng),
        ignore_cookies: rng.bool(),
        ..Cache::default()
    }
}

fn purge(rng: &mut Rng, rig: &mut Rig, reference: &mut Reference, now: u64) {
    const HOST: &str = "shop.example.com";
    let soft = rng.bool().then_some(now);
    let strength = soft.map_or(Strength::Hard, |at| Strength::Soft(Wall::from_secs(at)));
    let path = PATHS[rng.usize(..PATHS.len())];
    let tag = rng.u8(..3);
    match rng.u8(..10) {
        0..4 => {
            rig.purge(&Scope::url(HOST, path, None), strength);
            reference.purge(|entry| entry.path == path, soft);
        }
        4..6 => {
            rig.purge(&Scope::prefix(HOST, path), strength);
            reference.purge(|entry| entry.path.starts_with(path), soft);
        }
        6..9 => {
            rig.purge(&Scope::tag(&format!("t{tag}")), strength);
            reference.purge(|entry| entry.said.tag == Some(tag), soft);
        }
        _ => {
            rig.purge(&if rng.bool() { Scope::All } else { Scope::host(HOST).expect("a host") }, strength);
            reference.purge(|_| true, soft);
        }
    }
}

/// One life of a cache; every answer of ours is the reference's.
fn live(seed: u64) -> [u32; 5] {
    let mut rng = Rng::with_seed(seed);
    let mut rig = Rig::new(rules(&mut rng));
    let mut reference = Reference { rules: rig.rules.clone(), ..Reference::default() };
    let (mut now, mut body, mut seen) = (1_800_000_000, 0, [0; 5]);
    let mut etags = [0; PATHS.len()];
    for step in 0..200 {
        now += [0, 0, 0, 1, 4, 9, 30][rng.usize(..7)];
        rig.now = Wall::from_secs(now);
        rig.origin_down = rng.u8(..6) == 0;
        if rng.u8(..20) == 0 {
            purge(&mut rng, &mut rig, &mut reference, now);
        }
        let request = Request::random(&mut rng);
        let at = PATHS.iter().position(|path| *path == request.path).unwrap_or(0);
        etags[at] += u32::from(rng.u8(..4) == 0);
        body += 1;
        let plan = Plan {
            fails: rng.u8(..8) == 0,
            status: [200, 200, 200, 200, 404, 302, 500, 503, 599][rng.usize(..9)],
            said: Said::random(&mut rng),
            // The tags of different paths differ; every third answer has none.
            etag: (!etags[at].is_multiple_of(3)).then_some(etags[at] * 4 + at as u32),
            body: format!("body {body}"),
        };
        let mut server = |forwarded: &Ask| {
            let tag = plan.etag.map(|etag| format!("\"{etag}\""));
            let asked = forwarded.head.first("if-none-match");
            match (&tag, asked) {
                _ if plan.fails => Reply::Failed(Failure::Broken),
                (Some(tag), Some(asked)) if asked == tag.as_bytes() => {
                    Reply::Answer { status: 304, head: plan.said.head(now), body: String::new() }
                }
                _ => {
                    let said = Said { etag: plan.etag, ..plan.said.clone() };
                    Reply::Answer { status: plan.status, head: said.head(now), body: plan.body.clone() }
                }
            }
        };
        let expected = reference.ask(&request, now, rig.origin_down, &plan);
        let Answer { head, body, from, .. } = rig.ask(&request.ask(), &mut server);
        let age = head.values("age").last().and_then(|age| std::str::from_utf8(age).ok()?.parse().ok());
        assert_eq!(
            (from, body, age),
            expected,
            "seed {seed}, step {step}: {request:?}\nserver: {plan:?}\nkept: {:?}\nrules: {:?}",
            reference.entries,
            reference.rules
        );
        let mut kept: Vec<&str> = reference.entries.iter().map(|entry| &*entry.body).collect();
        kept.sort_unstable();
        assert_eq!(rig.kept(), kept, "seed {seed}, step {step}: {request:?}\nserver: {plan:?}");
        seen[match from {
            From::Server => 0,
            From::Fresh => 1,
            From::Stale(_) => 2,
            From::Revalidated => 3,
            From::Own => 4,
        }] += 1;
    }
    seen
}

#[test]
fn the_policy_answers_as_the_reference_does() {
    let mut seen = [0; 5];
    for seed in 0..400 {
        for (sum, count) in seen.iter_mut().zip(live(seed)) {
            *sum += count;
        }
    }
    // A test in which a kind of answer is rare would say little of it.
    assert!(seen.iter().all(|count| *count > 1_200), "{seen:?}");
}
