//! Traffic split between pools by weight.

use crate::support::{Evenkeel, Origin};

#[test]
fn ninety_five_to_five_holds_over_two_thousand_requests() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n\
         [[route]]\nsplit = [{{ pool = \"blue\", weight = 95 }}, {{ pool = \"green\", weight = 5 }}]\n\
         [pool.blue]\nbackends = [\"{}\"]\n[pool.green]\nbackends = [\"{}\"]\n",
        blue.address(),
        green.address()
    ));
    let mut client = evenkeel.client();
    for _ in 0..2_000 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(blue.count() + green.count(), 2_000);
    // 100 expected; the deviation of a binomial choice is 9.7, so this is wrong once in 10^9 runs.
    assert!((40..=160).contains(&green.count()), "{} of 2,000", green.count());
}

#[test]
fn a_weight_of_zero_gets_nothing() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = [\"127.0.0.1:0\"]\n\
         [[route]]\nsplit = [{{ pool = \"blue\", weight = 1 }}, {{ pool = \"green\", weight = 0 }}]\n\
         [pool.blue]\nbackends = [\"{}\"]\n[pool.green]\nbackends = [\"{}\"]\n",
        blue.address(),
        green.address()
    ));
    let mut client = evenkeel.client();
    for _ in 0..200 {
        assert_eq!(client.get("/").text(), "blue");
    }
}
