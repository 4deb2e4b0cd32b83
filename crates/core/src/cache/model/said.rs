//! What servers say and clients ask in the model: as meant, and as header fields.

use crate::cache::Wall;
use crate::cache::rig::{Ask, Head};

type Rng = fastrand::Rng;

/// What a server says of its answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    pub(super) directives: Option<Directives>,
    pub(super) expires: Option<i64>,
    pub(super) date: Option<i64>,
    pub(super) modified: Option<u64>,
    pub(super) age: Option<u64>,
    pub(super) vary: Option<bool>,
    pub(super) etag: Option<u32>,
    pub(super) cookie: bool,
    pub(super) tag: Option<u8>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Directives {
    pub(super) words: Vec<&'static str>,
    pub(super) max_age: Option<u64>,
    pub(super) s_maxage: Option<u64>,
    pub(super) swr: Option<u64>,
    pub(super) sie: Option<u64>,
}

impl Directives {
    pub(super) fn random(rng: &mut Rng) -> Self {
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

    pub(super) fn has(&self, word: &str) -> bool {
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
    pub(super) fn random(rng: &mut Rng) -> Self {
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

    pub(super) fn head(&self, now: u64) -> Head {
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
    pub(super) fn freshened(&self, new: &Self, then: u64, now: u64) -> Self {
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
pub(super) struct Request {
    pub(super) post: bool,
    pub(super) path: &'static str,
    pub(super) foo: Option<&'static str>,
    pub(super) authorization: bool,
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) only_if_cached: bool,
    pub(super) max_age: Option<u64>,
    pub(super) min_fresh: Option<u64>,
    pub(super) max_stale: Option<u64>,
}

pub(super) const PATHS: [&str; 4] = ["/a", "/a/b", "/c", "/c/d"];

impl Request {
    pub(super) fn random(rng: &mut Rng) -> Self {
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

    pub(super) fn ask(&self) -> Ask {
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
