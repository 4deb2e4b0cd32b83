//! The nearest valid name to a mistyped one, for "did you mean", and what is said of a name that is none.

use std::fmt::Display;

/// Longer words are no typing mistakes, and comparing them is not free.
const COMPARED_MAX: usize = 64;
/// Names that an error lists.
const LISTED_MAX: usize = 10;

/// What is said of a name that does not exist: `missing` says so, and what follows says which there are, and which one was meant.
///
/// As in `there is no pool apii, only api, web: did you mean api?`.
pub fn unknown_name<'a>(
    missing: impl Display,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    if known.is_empty() {
        return format!("{missing}, and there is no other");
    }
    let listed = known[..known.len().min(LISTED_MAX)].join(", ");
    let more = match known.len().saturating_sub(LISTED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let meant = nearest(name, known).map(|meant| format!(": did you mean {meant}?")).unwrap_or_default();
    format!("{missing}, only {listed}{more}{meant}")
}

/// The candidate nearest to `word`, when it is near enough to have been meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() || word.len() > COMPARED_MAX {
        return None;
    }
    let folded = fold(word);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= COMPARED_MAX)
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed(word.len().max(candidate.len())))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `Max-Connections` and `max_connections` are the same word to a person.
fn fold(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

/// A third of the word may differ, and at most three letters.
fn allowed(length: usize) -> usize {
    (length / 3).min(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_those_that_there_are() {
        let text = |known: &[&str]| unknown_name("there is no pool apii", "apii", known.iter().copied());
        assert_eq!(text(&[]), "there is no pool apii, and there is no other");
        assert_eq!(text(&["web"]), "there is no pool apii, only web");
        assert_eq!(text(&["web", "api"]), "there is no pool apii, only web, api: did you mean api?");
        let many = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "api"];
        let expected =
            "there is no pool apii, only a, b, c, d, e, f, g, h, i, j and 2 more: did you mean api?";
        assert_eq!(text(&many), expected);
    }

    #[test]
    fn only_near_words_are_suggested() {
        let keys = ["backends", "algorithm", "keepalive", "health"];
        assert_eq!(nearest("backend", keys), Some("backends"));
        assert_eq!(nearest("Keep-Alive", keys), Some("keepalive"));
        assert_eq!(nearest("helath", keys), Some("health"));
        assert_eq!(nearest("tls", keys), None);
        assert_eq!(nearest("v1", ["v2"]), None);
        assert_eq!(nearest("ap", ["app"]), Some("app"));
        assert_eq!(nearest(&"h".repeat(1_000_000), keys), None);
    }
}
