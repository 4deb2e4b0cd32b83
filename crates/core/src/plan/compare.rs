//! What becomes of requests that were seen under another configuration: how many go elsewhere, from where to where.

use super::outcome::{End, Outcome};
use super::sample::Sample;

/// Examples of one group.
const EXAMPLES_MAX: usize = 5;
/// Groups; beyond, requests are only counted.
const GROUPS_MAX: usize = 200;

/// How two outcomes of one request differ. The gravest come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shift {
    /// It was served, and no connection leads to it any more.
    Unreachable,
    /// It was served, and no route takes it any more.
    NoRoute,
    /// It was served, and would be refused.
    Refused,
    /// It ends at another place.
    Elsewhere,
    /// The server of the same pool is asked for another path; or the new location, or the file, is another one.
    OtherTarget,
    /// It was not served, and would be.
    Served,
    /// Another route does the same with it.
    OtherRoute,
    /// The plan cannot say, because the recorder has redacted a value that decides.
    Unknown,
}

impl Shift {
    /// How they differ; `None` if they do not.
    pub fn between(before: &Outcome, after: &Outcome) -> Option<Self> {
        match (before.end.is_served(), &after.end) {
            (true, End::Unreachable(_)) => Some(Self::Unreachable),
            (true, End::NoRoute) => Some(Self::NoRoute),
            (true, End::Refused(..)) => Some(Self::Refused),
            (false, end) if end.is_served() => Some(Self::Served),
            _ if before.end != after.end => Some(Self::Elsewhere),
            _ if before.target != after.target => Some(Self::OtherTarget),
            _ if before.route != after.route => Some(Self::OtherRoute),
            _ => None,
        }
    }

    /// True if a client would get no answer that a route meant for it, and did before.
    pub fn is_loss(self) -> bool {
        self <= Self::Refused
    }

    /// One word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::NoRoute => "no-route",
            Self::Refused => "refused",
            Self::Elsewhere => "elsewhere",
            Self::OtherTarget => "other-target",
            Self::Served => "served",
            Self::OtherRoute => "other-route",
            Self::Unknown => "unknown",
        }
    }

    /// What so many requests would do, as in `would match no route`.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Unreachable => "would reach no listener",
            Self::NoRoute => "would match no route",
            Self::Refused => "would be refused",
            Self::Elsewhere => "would go elsewhere",
            Self::OtherTarget => "would ask for another path or location at the same place",
            Self::Served => "would be served, and are not now",
            Self::OtherRoute => "would be taken by another route, which does the same",
            Self::Unknown => "are unknown, because the recorder has redacted a value that decides",
        }
    }
}

/// Requests that go the same way before, and the same way after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// How the two ways differ.
    pub shift: Shift,
    /// Where they end now, as in `pool green by route /api/*`.
    pub from: String,
    /// Where they would end.
    pub to: String,
    /// How many they are.
    pub count: usize,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// One request of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Its `X-Request-Id`.
    pub id: String,
    /// As in `GET shop.example.com/cart`.
    pub request: String,
    /// What the server is asked for now, and then; only where these differ.
    pub targets: Option<(String, String)>,
}

/// What becomes of many requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// How many there were.
    pub requests: usize,
    /// How many of them are answered as before.
    pub unchanged: usize,
    /// How many of them are in no group, because there were too many groups.
    pub ungrouped: usize,
    groups: Vec<Group>,
}

impl Comparison {
    /// Takes in one request with where it ends now, and where it would end.
    pub fn add(&mut self, sample: &Sample, before: &Outcome, after: &Outcome) {
        let Some(shift) = Shift::between(before, after) else {
            self.requests += 1;
            self.unchanged += 1;
            return;
        };
        let targets = (before.target != after.target && before.end.is_served() && after.end.is_served())
            .then(|| (before.target.clone(), after.target.clone()));
        self.count(sample, shift, (before.to_string(), after.to_string()), targets);
    }

    /// Takes in one request whose end is unknown.
    pub fn add_unknown(&mut self, sample: &Sample, why: &str) {
        self.count(sample, Shift::Unknown, (String::new(), why.to_owned()), None);
    }

    fn count(
        &mut self,
        sample: &Sample,
        shift: Shift,
        (from, to): (String, String),
        targets: Option<(String, String)>,
    ) {
        self.requests += 1;
        let is_it = |group: &Group| (group.shift, &group.from, &group.to) == (shift, &from, &to);
        let group = match self.groups.iter().position(is_it) {
            Some(at) => &mut self.groups[at],
            None if self.groups.len() >= GROUPS_MAX => {
                self.ungrouped += 1;
                return;
            }
            None => {
                let at = self.groups.len();
                self.groups.push(Group { shift, from, to, count: 0, examples: Vec::new() });
                &mut self.groups[at]
            }
        };
        group.count += 1;
        if group.examples.len() < EXAMPLES_MAX {
            let (id, request) = (sample.id.clone(), sample.describe());
            group.examples.push(Example { id, request, targets });
        }
    }

    /// The groups: the gravest shifts first, of these the largest groups first.
    pub fn groups(&self) -> Vec<&Group> {
        let mut groups: Vec<&Group> = self.groups.iter().collect();
        groups.sort_by_key(|group| (group.shift, std::cmp::Reverse(group.count)));
        groups
    }

    /// How many requests shift so.
    pub fn shifted(&self, shift: Shift) -> usize {
        self.groups.iter().filter(|group| group.shift == shift).map(|group| group.count).sum()
    }

    /// How many requests that are served now would get no answer that a route meant for them.
    pub fn lost(&self) -> usize {
        self.groups.iter().filter(|group| group.shift.is_loss()).map(|group| group.count).sum()
    }
}
