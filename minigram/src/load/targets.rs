//! What the caches and the compression must save, and whether they did.

use super::caches::Savings;
use super::report::Verdict;

/// The least share of the requests, 0 to 1, that each cache must answer: what they are for, the name of the cache, the share.
const CACHES: [(&str, &str, f64); 5] = [
    ("static files", "Evenkeel: media", 0.95),
    ("profiles", "application: profile", 0.85),
    ("feeds", "application: feed", 0.75),
    ("photos and comments for visitors", "Evenkeel: photos", 0.60),
    ("photos and comments", "application: photo", 0.60),
];

/// By how much the load of the application servers must fall, 0 to 1.
const ORIGIN_SPARED_MIN: f64 = 0.85;

/// By how much texts must shrink, 0 to 1.
const TEXT_SPARED_MIN: f64 = 0.70;

/// The least share of the reads that replicas must answer, if there are any.
const BY_REPLICAS_MIN: f64 = 0.80;

/// Judges what was saved. A cache that was asked nothing has not met its target.
#[must_use]
pub fn judge(savings: &Savings) -> Vec<Verdict> {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let mut verdicts: Vec<Verdict> = Vec::new();
    for (what, cache, least) in CACHES {
        let ratio = savings.caches.iter().find(|found| found.cache == cache).map(|found| found.ratio);
        let found = ratio.map_or_else(|| "none were asked for".to_owned(), percent);
        verdicts.push(Verdict {
            what: format!("{what}: {found} from the cache ({cache}), above {} %", least * 100.0),
            met: ratio.is_some_and(|ratio| ratio > least),
        });
    }
    let mut at_least = |what: &str, share: f64, least: f64| {
        let what = format!("{what} {}, at least {} %", percent(share), least * 100.0);
        verdicts.push(Verdict { what, met: share >= least });
    };
    at_least("the application servers' load falls by", savings.origin_spared, ORIGIN_SPARED_MIN);
    at_least("text shrinks by", savings.text_spared, TEXT_SPARED_MIN);
    if let Some(share) = savings.by_replicas {
        at_least("replicas answer of the databases' reads", share, BY_REPLICAS_MIN);
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::caches::HitRatio;

    /// Which verdicts are not met, by the beginning of what they say.
    fn missed(savings: &Savings) -> Vec<String> {
        let missed = judge(savings).into_iter().filter(|verdict| !verdict.met);
        missed.map(|verdict| verdict.what).collect()
    }

    fn savings(ratios: [f64; 5]) -> Savings {
        let caches = CACHES.iter().zip(ratios).map(|((_, cache, _), ratio)| HitRatio {
            cache: (*cache).to_owned(),
            requests: 100,
            ratio,
        });
        Savings { caches: caches.collect(), origin_spared: 0.85, text_spared: 0.7, by_replicas: None }
    }

    #[test]
    fn each_cache_is_judged_by_its_own_target() {
        assert_eq!(missed(&savings([0.951, 0.851, 0.751, 0.601, 0.601])), Vec::<String>::new());
        for (number, (what, cache, least)) in CACHES.iter().enumerate() {
            let mut ratios = [1.0; 5];
            ratios[number] = *least;
            let missed = missed(&savings(ratios));
            assert_eq!(missed.len(), 1, "{missed:?}");
            assert!(missed[0].starts_with(what) && missed[0].contains(cache), "{missed:?}");
        }
        let mut nothing = savings([1.0; 5]);
        nothing.caches.remove(2);
        assert!(missed(&nothing)[0].contains("feeds: none were asked for"));
    }

    #[test]
    fn the_origin_text_and_replicas_are_judged() {
        let mut all = Savings { by_replicas: Some(0.8), ..savings([1.0; 5]) };
        assert_eq!(judge(&all).len(), CACHES.len() + 3);
        assert_eq!(missed(&all), Vec::<String>::new());
        (all.origin_spared, all.text_spared, all.by_replicas) = (0.849, 0.699, Some(0.799));
        assert_eq!(missed(&all).len(), 3);
        all.by_replicas = None;
        assert_eq!(missed(&all).len(), 2, "embedded engines have no replicas");
    }
}
