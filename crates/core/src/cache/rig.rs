//! A cache in miniature, for tests: it asks the policy in the order in which the data path does.

use std::collections::HashMap;

use evenkeel_config::Cache;

use super::*;
use crate::conditional::{Evaluator, Outcome, Representation, evaluate, range_applies};
use crate::range::{Ranges, ranges, unsatisfied};

pub(super) type Head = Vec<(String, String)>;

/// A head from names and values.
pub(super) fn head(lines: &[(&str, &str)]) -> Head {
    lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) head: Head,
    pub(super) body: bool,
}

impl Ask {
    pub(super) fn get(path: &str, lines: &[(&str, &str)]) -> Self {
        Self { method: "GET", path: path.into(), query: None, head: head(lines), body: false }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Reply {
    Answer { status: u16, head: Head, body: String },
    Failed(Failure),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: Head,
    pub(super) body: String,
    /// Where it came from.
    pub(super) from: From,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Server,
    Fresh,
    Stale(StaleUse),
    /// A 304 of the server freshened it.
    Revalidated,
    /// 504, without a request to a server.
    Own,
}

#[derive(Debug, Clone)]
struct Object {
    status: u16,
    head: Head,
    body: String,
    stored: Stored,
    vary: Vary,
    variant: Variant,
    received: Wall,
    sequence: u64,
    url: UrlId,
    host: HostId,
    path: String,
    tags: Tags,
}

#[derive(Debug, Default)]
pub(super) struct Rig {
    pub(super) rules: Cache,
    pub(super) now: Wall,
    pub(super) purges: PurgeRules,
    pub(super) origin_down: bool,
    sequence: u64,
    objects: HashMap<Box<[u8]>, Vec<Object>>,
}

const HOST: &str = "shop.example.com";

impl Rig {
    pub(super) fn new(rules: Cache) -> Self {
        Self { rules, ..Self::default() }
    }

    pub(super) fn purge(&mut self, scope: &Scope, strength: Strength) {
        self.sequence += 1;
        self.purges.add(self.sequence, scope, strength);
    }

    /// The bodies of all that is kept, sorted.
    pub(super) fn kept(&self) -> Vec<&str> {
        let objects = self.objects.values().flatten();
        let live = objects.filter(|object| self.verdict(object) != PurgeVerdict::Gone);
        let mut out: Vec<&str> = live.map(|object| &*object.body).collect();
        out.sort_unstable();
        out
    }

    fn verdict(&self, object: &Object) -> PurgeVerdict {
        self.purges.verdict(&Purgeable {
            sequence: object.sequence,
            url: object.url,
            host: object.host,
            path: &object.path,
            tags: &object.tags.0,
        })
    }

    pub(super) fn ask(&mut self, ask: &Ask, server: &mut dyn FnMut(&Ask) -> Reply) -> Answer {
        let asked = match admit(&self.rules, ask.method, &ask.head, (ask.body, false)) {
            Ok(asked) => asked,
            Err(_) => return self.pass(ask, server),
        };
        let key = key(&self.rules.key, &target(ask), &ask.head);
        let mut objects = self.objects.remove(&key.bytes).unwrap_or_default();
        objects.retain(|object| self.verdict(object) != PurgeVerdict::Gone);
        self.objects.insert(key.bytes.clone(), objects);
        let objects = &self.objects[&key.bytes];
        let candidates = objects.iter().map(|object| {
            let date = object.head.first("date").and_then(http_date).unwrap_or(object.received);
            (&object.vary, &object.variant, date)
        });
        let Some(at) = select(&ask.head, candidates) else {
            if asked.directives.only_if_cached {
                return own(504);
            }
            return self.fetch(ask, &asked, &key, None, server);
        };
        let purged = match self.verdict(&objects[at]) {
            PurgeVerdict::Stale(since) => Some(since),
            _ => None,
        };
        let moment = Moment { now: self.now, purged, origin_down: self.origin_down };
        match judge(&objects[at].stored, &asked.directives, &moment) {
            Verdict::Fresh => self.answer(ask, &asked, &objects_at(&self.objects, &key, at), From::Fresh),
            Verdict::Stale(StaleUse::WhileRevalidate) => {
                let kept = objects_at(&self.objects, &key, at);
                let from = From::Stale(StaleUse::WhileRevalidate);
                let answer = self.answer(ask, &asked, &kept, from);
                self.fetch(ask, &asked, &key, Some((at, moment)), server);
                answer
            }
            Verdict::Stale(used) => {
                self.answer(ask, &asked, &objects_at(&self.objects, &key, at), From::Stale(used))
            }
            Verdict::OnlyIfCached => own(504),
            Verdict::Revalidate(_) => self.fetch(ask, &asked, &key, Some((at, moment)), server),
        }
    }

    /// Past the cache.
    fn pass(&mut self, ask: &Ask, server: &mut dyn FnMut(&Ask) -> Reply) -> Answer {
        match server(ask) {
            Reply::Failed(_) => own(502),
            Reply::Answer { status, head, body } => {
                for scope in invalidated(ask.method, status, (HOST, &ask.path, ask.query.as_deref()), &head) {
                    self.purge(&scope, Strength::Hard);
                }
                Answer { status, head, body, from: From::Server }
            }
        }
    }

    fn fetch(
        &mut self,
        ask: &Ask,
        asked: &Asked,
        key: &Key,
        stale: Option<(usize, Moment)>,
        server: &mut dyn FnMut(&Ask) -> Reply,
    ) -> Answer {
        let mut forwarded = ask.clone();
        let conditions = ["if-none-match", "if-modified-since"];
        forwarded.head.retain(|(name, _)| !conditions.contains(&name.to_ascii_lowercase().as_str()));
        if let Some((at, _)) = stale {
            let kept = &self.objects[&key.bytes][at];
            for (name, value) in validators(&kept.head) {
                forwarded.head.push((name.into(), String::from_utf8_lossy(value).into_owned()));
            }
            forwarded.head.retain(|(name, _)| !name.eq_ignore_ascii_case("range"));
        }
        // What is kept for other requests may answer this one as well.
        let others = self.others(key, stale.is_some());
        if let Some(tags) = entity_tags(others.iter().map(|at| &self.objects[&key.bytes][*at].head)) {
            forwarded.head.push(("if-none-match".into(), String::from_utf8_lossy(&tags).into_owned()));
        }
        let (sent, sequence) = (self.now, self.sequence);
        match (server(&forwarded), stale) {
            (Reply::Failed(failure), Some((at, moment))) => {
                self.stand_in(ask, asked, key, (at, moment, failure)).unwrap_or_else(|| own(502))
            }
            (Reply::Failed(_), None) => own(502),
            (Reply::Answer { status: 304, head, .. }, Some((at, _))) => {
                let object = self.objects.get_mut(&key.bytes).expect("it is there").remove(at);
                self.freshen(ask, asked, key, (object, sent, sequence), &head)
            }
            (Reply::Answer { status: 304, head, .. }, None) if !others.is_empty() => {
                let objects = &self.objects[&key.bytes];
                match select_validated(others.iter().map(|at| &objects[*at].head), &head) {
                    Some(at) => {
                        let object = objects[others[at]].clone();
                        self.freshen(ask, asked, key, (object, sent, sequence), &head)
                    }
                    None => own(502),
                }
            }
            (Reply::Answer { status, head, body }, stale) => {
                if let Some((at, moment)) = stale
                    && let Some(answer) =
                        self.stand_in(ask, asked, key, (at, moment, Failure::Status(status)))
                {
                    return answer;
                }
                self.keep(ask, asked, key, (sent, sequence), (status, head, body))
            }
        }
    }

    /// Those of the key whose entity tags are sent if none is selected, the newest first.
    fn others(&self, key: &Key, is_selected: bool) -> Vec<usize> {
        let objects = if is_selected { &[] } else { &*self.objects[&key.bytes] };
        let has_tag = |at: &usize| {
            let tag = objects[*at].head.first("etag").and_then(crate::conditional::EntityTag::parse);
            tag.is_some() && !objects[*at].vary.tells_users_apart()
        };
        (0..objects.len()).rev().filter(has_tag).collect()
    }

    fn stand_in(
        &self,
        ask: &Ask,
        asked: &Asked,
        key: &Key,
        (at, moment, failure): (usize, Moment, Failure),
    ) -> Option<Answer> {
        let kept = objects_at(&self.objects, key, at);
        match after_failure(&kept.stored, &asked.directives, &moment, failure) {
            AfterFailure::UseStale => Some(self.answer(ask, asked, &kept, From::Stale(StaleUse::IfError))),
            AfterFailure::PassOn { .. } => None,
        }
    }

    fn freshen(
        &mut self,
        ask: &Ask,
        asked: &Asked,
        key: &Key,
        (mut object, sent, sequence): (Object, Wall, u64),
        new: &Head,
    ) -> Answer {
        let objects = self.objects.entry(key.bytes.clone()).or_default();
        let without = NotKept::default();
        let lines = |head: &Head| -> Vec<(Vec<u8>, Vec<u8>)> {
            head.iter().map(|(name, value)| (name.clone().into(), value.clone().into())).collect()
        };
        let (old, fresh) = (lines(&object.head), lines(new));
        let (old, fresh): (Vec<Line<'_>>, Vec<Line<'_>>) = (
            old.iter().map(|(name, value)| (&name[..], &value[..])).collect(),
            fresh.iter().map(|(name, value)| (&name[..], &value[..])).collect(),
        );
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let merged: Head =
            merge(&old, &fresh, &without).iter().map(|(name, value)| (text(name), text(value))).collect();
        let exchange =
            Exchange { request: &ask.head, status: object.status, answer: &merged, sent, received: self.now };
        let keep = storable(&self.rules, &exchange);
        object.head = merged;
        object.received = self.now;
        object.sequence = sequence;
        let Ok(keep) = keep else {
            return Answer {
                status: object.status,
                head: object.head,
                body: object.body,
                from: From::Revalidated,
            };
        };
        object.head.retain(|(name, _)| !keep.without.holds(name.as_bytes()));
        object.stored = keep.stored;
        object.variant = keep.vary.variant(&ask.head);
        (object.vary, object.tags) = (keep.vary, keep.tags);
        objects.retain(|other| (&other.vary, &other.variant) != (&object.vary, &object.variant));
        objects.push(object);
        let at = objects.len() - 1;
        self.answer(ask, asked, &objects_at(&self.objects, key, at), From::Revalidated)
    }

    fn keep(
        &mut self,
        ask: &Ask,
        asked: &Asked,
        key: &Key,
        (sent, sequence): (Wall, u64),
        (status, head, body): (u16, Head, String),
    ) -> Answer {
        let exchange = Exchange { request: &ask.head, status, answer: &head, sent, received: self.now };
        let is_kept = ask.method == "GET";
        let keep = storable(&self.rules, &exchange);
        let objects = self.objects.entry(key.bytes.clone()).or_default();
        let answer = Answer { status, head: head.clone(), body: body.clone(), from: From::Server };
        let (true, Ok(keep)) = (is_kept, keep) else { return answer };
        let variant = keep.vary.variant(&ask.head);
        objects.retain(|other| (&other.vary, &other.variant) != (&keep.vary, &variant));
        let mut head = head;
        head.retain(|(name, _)| !keep.without.holds(name.as_bytes()));
        if !head.has("date") {
            head.push(("date".into(), self.now.http_date()));
        }
        objects.push(Object {
            status,
            head,
            body,
            stored: keep.stored,
            vary: keep.vary,
            variant,
            received: self.now,
            sequence,
            url: key.url,
            host: key.host,
            path: ask.path.clone(),
            tags: keep.tags,
        });
        // The client's own conditions and range.
        let at = objects.len() - 1;
        let kept = objects_at(&self.objects, key, at);
        match self.answer(ask, asked, &kept, From::Server) {
            own if own.status == 304 => own,
            _ => answer,
        }
    }

    /// What is sent of a kept response: all of it, a 304, or a range.
    fn answer(&self, ask: &Ask, asked: &Asked, kept: &Kept, from: From) -> Answer {
        let mut head = kept.head.clone();
        head.push(("age".into(), kept.stored.age(self.now).to_string()));
        let representation = Representation::of(&kept.head, kept.received);
        let answer = |status: u16, head: Head, body: &str| Answer { status, head, body: body.into(), from };
        if evaluate(&ask.head, Evaluator::Cache, (true, kept.status), &representation) == Outcome::NotModified
        {
            return answer(304, head, "");
        }
        let complete = kept.body.len() as u64;
        if asked.range && kept.status == 200 && range_applies(&ask.head, &representation) {
            match ranges(ask.head.first("range").unwrap_or_default(), complete) {
                Ranges::One(part) => {
                    head.push(("content-range".into(), part.content_range(complete)));
                    return answer(206, head, &kept.body[part.start as usize..part.end as usize]);
                }
                Ranges::Unsatisfiable => {
                    head.push(("content-range".into(), unsatisfied(complete)));
                    return answer(416, head, "");
                }
                Ranges::Many(_) | Ranges::Ignore => {}
            }
        }
        let body = if ask.method == "HEAD" { "" } else { &kept.body };
        answer(kept.status, head, body)
    }
}

struct Kept {
    status: u16,
    head: Head,
    body: String,
    stored: Stored,
    received: Wall,
}

fn objects_at(objects: &HashMap<Box<[u8]>, Vec<Object>>, key: &Key, at: usize) -> Kept {
    let Object { status, head, body, stored, received, .. } = &objects[&key.bytes][at];
    Kept { status: *status, head: head.clone(), body: body.clone(), stored: *stored, received: *received }
}

fn target(ask: &Ask) -> Target<'_> {
    Target {
        scheme: "http",
        authority: HOST,
        path: &ask.path,
        asked: &ask.path,
        query: ask.query.as_deref(),
        route: "r",
        pool: "p",
    }
}

fn own(status: u16) -> Answer {
    Answer { status, head: Vec::new(), body: String::new(), from: From::Own }
}
