//! `via = false`: some servers do not compress what they send to a proxy, which they know by `Via`.

use crate::support::{Evenkeel, Origin, pool};

#[test]
fn a_pool_may_be_spared_our_via() {
    let origin = Origin::named("a");
    for (keys, ours) in [("via = false", 0), ("via = true", 1), ("", 1)] {
        let evenkeel = Evenkeel::start(&pool(&[&origin], keys));
        assert_eq!(evenkeel.get("/").status, 200);
        assert_eq!(origin.last().headers("via").len(), ours, "{keys}");
        // That of others is not ours to remove.
        evenkeel.client().get_with("/", "via: 1.0 cache\r\n");
        let via = origin.last().headers("via").join(", ");
        assert!(via.starts_with("1.0 cache"), "{keys}: {via}");
        assert_eq!(via.contains("evenkeel"), ours == 1, "{keys}: {via}");
    }
}
