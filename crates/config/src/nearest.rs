//! The nearest valid name to a mistyped one, for "did you mean".

/// Longer words are no typing mistakes, and comparing them is not free.
const COMPARED_MAX: usize = 64;

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
