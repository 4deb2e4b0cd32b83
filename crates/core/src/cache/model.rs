//! A tiny reference cache, straight from the text of RFC 9111 and 5861, against the policy: random requests, answers, clock
//! steps, purges and faults, in virtual time. The reference reads no header fields and keeps no key: it knows what the server
//! meant, and walks over everything it has.

mod said;

use std::time::Duration;

use evenkeel_config::Cache;

use said::{Directives, PATHS, Request, Said};

use super::rig::{Answer, Ask, From, Reply, Rig};
use super::*;

type Rng = fastrand::Rng;

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
        let too_old = request.max_age.is_some_and(|max| entry.age(now) >= max);
        let demanded = request.no_cache || too_old && !immutable;
        let left = entry.lifetime(rules).unwrap_or(0).saturating_sub(entry.age(now));
        let enough = request.min_fresh.is_none_or(|min| left >= min);
        if fresh && enough && !demanded {
            return Some(From::Fresh);
        }
        let staleness = entry.staleness(rules, now);
        let may_be_stale = !entry.must_revalidate();
        let unbound = request.max_age.is_none() && request.min_fresh.is_none() && !request.no_cache;
        let ever_fresh = entry.lifetime(rules).unwrap_or(0) > 0;
        let max_stale = ever_fresh && request.max_stale.is_some_and(|max| staleness < max);
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
        let is_same = |entry: &Entry| entry.said.etag.is_some() && entry.said.etag == plan.etag;
        if !plan.fails
            && let Some(at) = at.filter(|at| is_same(&self.entries[*at]))
        {
            let old = self.entries.remove(at);
            return self.freshen(request, now, old, plan);
        }
        // The server may say that what is kept for another request answers this one as well.
        let others = self.entries.iter().rev();
        let other = others.filter(|entry| entry.path == request.path).find(|entry| is_same(entry)).cloned();
        if !plan.fails
            && at.is_none()
            && let Some(other) = other
        {
            return self.freshen(request, now, other, plan);
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

    fn freshen(&mut self, request: &Request, now: u64, old: Entry, plan: &Plan) -> Got {
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
        let said = Said { etag: plan.etag, ..plan.said.clone() };
        let mut server = |forwarded: &Ask| {
            let tag = plan.etag.map(|etag| format!("\"{etag}\""));
            match (&tag, forwarded.head.first("if-none-match")) {
                _ if plan.fails => Reply::Failed(Failure::Broken),
                (Some(tag), Some(asked)) if members(asked).any(|asked| asked == tag.as_bytes()) => {
                    Reply::Answer { status: 304, head: said.head(now), body: String::new() }
                }
                _ => Reply::Answer { status: plan.status, head: said.head(now), body: plan.body.clone() },
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
