//! The difference between two configurations, complete and in words. It is read off what `show` writes, so that no key can be
//! forgotten.

mod change;
mod effect;
mod fixed;
mod leaves;
mod listeners;
mod pools;
mod routes;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod tree;

use serde_json::{Value, json};

use crate::model::Config;
use crate::redact::Redactor;

pub use change::{Change, Subject};
pub use effect::Effect;
pub use fixed::{fixed_changes, keep_fixed};

use leaves::leaves;
use tree::Tree;

/// All that differs between two configurations, in the order of the file: the process, listeners, routes, pools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Empty if the configurations are the same.
    pub changes: Vec<Change>,
}

/// What `new` changes of `old`. Either may have been [redacted](Config::redacted) before; no secret of the other is shown.
pub fn difference(old: &Config, new: &Config) -> Difference {
    // Each side may name secrets that the other one does not.
    let redactor = Redactor::of(&[old, new]);
    let (before, after) = (Tree::of(old, &redactor), Tree::of(new, &redactor));
    let mut changes = Vec::new();
    for leaf in leaves(&before.process(), &after.process()) {
        let effect = if fixed::is_fixed(&leaf.path) { Effect::Restart } else { Effect::AtOnce };
        changes.push(leaf.change(Subject::Process, "", effect));
    }
    listeners::compare(&before, &after, &mut changes);
    routes::compare(&before, &after, &mut changes);
    pools::compare(&before, &after, &mut changes);
    Difference { changes }
}

impl Difference {
    /// True if the configurations are the same.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What the changes do to traffic, each effect once, in the order of their weight.
    pub fn effects(&self) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self.changes.iter().map(|change| change.effect).collect();
        effects.sort_unstable();
        effects.dedup();
        effects
    }

    /// The changes as JSON, each an object.
    pub fn to_json(&self) -> Value {
        let change = |change: &Change| {
            json!({
                "kind": change.subject.kind(),
                "subject": change.subject.to_string(),
                "key": change.key,
                "before": change.before,
                "after": change.after,
                "what": change.sentence,
                "effect": change.effect.word(),
            })
        };
        self.changes.iter().map(change).collect()
    }
}
