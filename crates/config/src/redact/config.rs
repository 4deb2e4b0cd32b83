//! A configuration as others may see it: in place of each secret stands a checksum, by which a change of it is seen.

use super::{REDACTED, Redactor};
use crate::model::{Config, HeaderEdits, Probe};

/// Hexadecimal digits of a checksum: enough to see a change, and too few to tell a guess of the secret from many others.
const CHECKSUM_DIGITS: usize = 6;

impl Redactor {
    /// What the recorders of all these configurations redact.
    pub fn of(configs: &[&Config]) -> Self {
        let more: Vec<String> = configs.iter().flat_map(|config| &config.recorder.redact).cloned().collect();
        Self::new(&more)
    }

    /// Redacts what is secret in the values of these fields. A value that is redacted already stays.
    fn fields(&self, fields: &mut [(String, String)]) {
        for (name, value) in fields {
            if self.field(name, value) != *value && !is_marked(value) {
                *value = mark(value);
            }
        }
    }

    fn parameters_of(&self, query: &mut [(String, String)]) {
        for (name, value) in query {
            if self.is_sensitive(name) && !is_marked(value) {
                *value = mark(value);
            }
        }
    }

    fn edits(&self, edits: &mut HeaderEdits) {
        self.fields(&mut edits.set);
        self.fields(&mut edits.add);
    }

    /// Redacts the parameters of a path with a query.
    fn target(&self, target: &mut String) {
        let shown = self.url(target);
        if shown != *target && !target.contains(&format!("{REDACTED}-")) {
            *target = shown.replace(REDACTED, &mark(target));
        }
    }
}

impl Config {
    /// The same configuration with each secret replaced by `(redacted)` and a checksum of it: the same secret has the same
    /// checksum in each process and version. What is redacted already stays.
    #[must_use]
    pub fn redacted(&self, redactor: &Redactor) -> Self {
        let mut shown = self.clone();
        for route in &mut shown.routes {
            redactor.fields(&mut route.headers);
            redactor.parameters_of(&mut route.query);
            redactor.edits(&mut route.request_headers);
            redactor.edits(&mut route.response_headers);
        }
        let checks = shown.pools.iter_mut().filter_map(|pool| pool.health.as_mut());
        for check in checks {
            if let Probe::Http(probe) = &mut check.probe {
                redactor.fields(&mut probe.headers);
                redactor.target(&mut probe.path);
            }
        }
        shown
    }
}

fn mark(secret: &str) -> String {
    let checksum = format!("{:016x}", fnv(secret));
    format!("{REDACTED}-{}", &checksum[..CHECKSUM_DIGITS])
}

fn is_marked(value: &str) -> bool {
    let checksum = value.strip_prefix(REDACTED).and_then(|rest| rest.strip_prefix('-'));
    checksum.is_some_and(|it| it.len() == CHECKSUM_DIGITS && it.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// FNV-1a, the same on all machines and in all versions, with its bits mixed once more, because only the first ones are shown.
fn fnv(text: &str) -> u64 {
    let sum = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (sum ^ (sum >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{difference, parse};

    /// A configuration with `secret` in each place that takes one.
    fn config(secret: &str) -> Config {
        let text = format!(
            "[recorder]\nredact = \"x-customer\"\n[listener.web]\nbind = \":80\"\n[pool.app]\n\
             backends = [\"127.0.0.1:1\"]\n\
             health = {{ path = \"/h?token={secret}&a=1\", headers = {{ authorization = \"Bearer {secret}\", x-a = \"1\" }} }}\n\
             [[route]]\nname = \"r\"\npool = \"app\"\nheaders = {{ x-api-key = \"{secret}\", x-a = \"2\" }}\n\
             query = {{ key = \"{secret}\", page = \"3\" }}\n\
             request_headers = {{ set = {{ authorization = \"Basic {secret}\", x-customer = \"{secret}\" }}, \
             add = {{ cookie = \"a={secret}\", x-b = \"4\", x-c = \"bearer {secret}\" }} }}\n\
             response_headers = {{ set = {{ set-cookie = \"a={secret}\" }}, add = {{ x-auth-token = \"{secret}\" }} }}\n"
        );
        parse("test.toml", &text).unwrap().config
    }

    #[test]
    fn no_secret_of_a_configuration_is_shown_and_all_else_is() {
        let config = config("hunter2");
        let redactor = Redactor::of(&[&config]);
        let shown = config.redacted(&redactor).to_toml();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(shown.matches("(redacted)-").count(), 10, "{shown}");
        for line in ["x-a = \"1\"", "x-a = \"2\"", "page = \"3\"", "x-b = \"4\"", "/h?token=(redacted)-"] {
            assert!(shown.contains(line), "no {line} in {shown}");
        }
        let again = parse("shown.toml", &shown).unwrap().config;
        assert_eq!(again.redacted(&redactor).to_toml(), shown, "what is redacted stays");
    }

    #[test]
    fn a_change_of_a_secret_is_a_difference_that_shows_neither() {
        let (old, new) = (config("hunter2"), config("correct-horse"));
        // As the command has it from the process.
        let shown = parse("shown.toml", &old.redacted(&Redactor::of(&[&old])).to_toml()).unwrap().config;
        assert!(difference(&shown, &old).is_empty(), "{:?}", difference(&shown, &old).changes);
        let changes = difference(&shown, &new).changes;
        assert_eq!(changes.len(), 10, "{changes:#?}");
        let all = format!("{changes:?}");
        assert!(!all.contains("hunter2") && !all.contains("correct-horse"), "{all}");
        assert!(all.contains("request_headers.set.authorization: (redacted)-"), "{all}");
    }

    #[test]
    fn a_name_that_only_one_side_redacts_is_redacted_on_both() {
        let old = config("hunter2");
        let mut new = config("hunter3");
        new.recorder.redact.clear();
        for (old, new) in [(&old, &new), (&new, &old)] {
            let all = format!("{:?}", difference(old, new).changes);
            assert!(!all.contains("hunter"), "{all}");
        }
    }
}
