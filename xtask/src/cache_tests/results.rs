//! What the tests came to, as the repository keeps it: scores, and the outcome of each test.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

/// How many tests of today's edition have to pass, whatever passed before.
const REQUIRED_MIN: usize = 145;
const OPTIONAL_MIN: usize = 85;
/// The outcome of a test that passed, or of a check whose answer is yes.
const PASS: &str = "pass";

/// The file in the repository.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// Of today's edition.
    pub current: Scores,
    /// Of the edition of 2021, which contradicts RFC 9111 in some tests: for information.
    pub npm: Scores,
}

/// The results of one edition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scores {
    /// What RFC 9111 demands.
    pub required: Part,
    /// What makes a cache better.
    pub optional: Part,
    /// Questions about how a cache behaves, without a right answer.
    pub checks: Part,
}

/// The results of tests of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    passed: usize,
    of: usize,
    tests: BTreeMap<String, String>,
}

impl Part {
    fn new(tests: BTreeMap<String, String>) -> Self {
        let passed = tests.values().filter(|outcome| *outcome == PASS).count();
        Self { passed, of: tests.len(), tests }
    }
}

impl Scores {
    fn parts(&self) -> [&Part; 3] {
        [&self.required, &self.optional, &self.checks]
    }

    fn passed(&self) -> impl Iterator<Item = &String> {
        let tests = self.parts().into_iter().flat_map(|part| &part.tests);
        tests.filter(|(_, outcome)| *outcome == PASS).map(|(id, _)| id)
    }

    /// The tests that passed `before` and do not now.
    pub fn lost_since(&self, before: &Self) -> Vec<String> {
        let passes = |id: &str| self.passed().any(|other| other == id);
        before.passed().filter(|id| !passes(id)).cloned().collect()
    }

    /// Checks that enough tests pass.
    ///
    /// # Errors
    /// There are too few.
    pub fn are_enough(&self) -> anyhow::Result<()> {
        let (required, optional) = (self.required.passed, self.optional.passed);
        ensure!(
            required >= REQUIRED_MIN,
            "{required} required tests passed; at least {REQUIRED_MIN} have to"
        );
        ensure!(
            optional >= OPTIONAL_MIN,
            "{optional} optional tests passed; at least {OPTIONAL_MIN} have to"
        );
        Ok(())
    }
}

impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [required, optional, checks] = self.parts().map(|part| format!("{}/{}", part.passed, part.of));
        write!(f, "required {required}, optional {optional}, checks {checks} yes")
    }
}

/// Reads what run.mjs printed; also a line for each test that did not pass.
///
/// # Errors
/// It is something else.
pub fn read(printed: &str) -> anyhow::Result<(Scores, Vec<String>)> {
    type Tests = BTreeMap<String, (String, String)>;
    #[derive(Deserialize)]
    struct Printed {
        required: Tests,
        optional: Tests,
        checks: Tests,
    }
    let Printed { required, optional, checks } =
        serde_json::from_str(printed).with_context(|| format!("the client printed:\n{printed}"))?;
    let mut failed = Vec::new();
    let mut part = |kind: &str, tests: Tests| {
        for (id, (outcome, message)) in tests.iter().filter(|(_, (outcome, _))| outcome != PASS) {
            failed.push(format!("  {kind} {id}: {outcome} {message}"));
        }
        Part::new(tests.into_iter().map(|(id, (outcome, _))| (id, outcome)).collect())
    };
    let scores = Scores {
        required: part("required", required),
        optional: part("optional", optional),
        checks: part("check", checks),
    };
    Ok((scores, failed))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn scores(a: &str, b: &str) -> Scores {
        let printed = format!(
            r#"{{"required": {{"a": ["{a}", "no"], "b": ["{b}", ""]}}, "optional": {{}}, "checks": {{}}}}"#
        );
        read(&printed).unwrap().0
    }

    #[test]
    fn a_test_that_does_not_pass_any_more_or_is_gone_is_lost() {
        let before = scores("pass", "fail");
        assert_eq!(before.to_string(), "required 1/2, optional 0/0, checks 0/0 yes");
        assert_eq!(scores("fail", "pass").lost_since(&before), ["a"]);
        assert_eq!(scores("pass", "pass").lost_since(&before), [""; 0]);
        assert_eq!(Scores::default().lost_since(&before), ["a"]);
    }

    #[test]
    fn a_test_that_does_not_pass_is_shown_with_its_reason() {
        let (_, failed) = read(
            r#"{"required": {}, "optional": {"x": ["setup", "Response 1 status is 502"]}, "checks": {"y": ["pass", ""]}}"#,
        )
        .unwrap();
        assert_eq!(failed, ["  optional x: setup Response 1 status is 502"]);
        assert!(read("nothing").is_err());
    }

    #[test]
    fn too_few_are_refused() {
        assert!(scores("pass", "pass").are_enough().unwrap_err().to_string().starts_with("2 required"));
    }
}
