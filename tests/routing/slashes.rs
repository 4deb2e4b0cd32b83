//! `merge_slashes = false`: a route whose server tells `//` from `/`, as image proxies and object stores do.

use crate::support::{Evenkeel, Origin, eventually, ok, pool};

fn start(origin: &Origin) -> Evenkeel {
    Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n\
         [[route]]\npath = \"/admin/*\"\nrespond = {{ status = 403 }}\n\
         [[route]]\npath = \"/raw/*\"\npool = \"app\"\nmerge_slashes = false\n\
         [[route]]\npath = \"/*\"\npool = \"app\"\n{}",
        pool(&[origin], "")
    ))
}

#[test]
fn a_route_may_keep_slashes_and_backslashes_as_they_came() {
    let origin = Origin::answering(|request| ok(request.target()));
    let evenkeel = start(&origin);
    let mut client = evenkeel.client();
    for (asked, seen) in [
        ("/raw/w:100/plain/https://img.test//a.png", "/raw/w:100/plain/https://img.test//a.png"),
        ("/raw//key", "/raw//key"),
        ("/raw/key//", "/raw/key//"),
        ("/raw/a%5Cb", "/raw/a%5Cb"),
        ("/raw/a%5cb", "/raw/a%5Cb"),
        ("/raw/a/./b/../c", "/raw/a/c"),
        ("/raw/a%2fb", "/raw/a%2Fb"),
        ("/raw/a//b?x=//", "/raw/a//b?x=//"),
        ("/else//key", "/else/key"),
    ] {
        let response = client.get(asked);
        assert_eq!((response.status, response.text().as_str()), (200, seen), "{asked}");
    }
}

#[test]
fn what_other_routes_refuse_stays_refused() {
    let origin = Origin::named("a");
    let evenkeel = start(&origin);
    for target in ["/else/a%5Cb", "/raw/a\\b", "/raw/%00"] {
        assert_eq!(evenkeel.get(target).status, 400, "{target}");
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn no_spelling_gets_around_the_route_of_another_path() {
    let origin = Origin::answering(|request| ok(request.target()));
    let evenkeel = start(&origin);
    for target in [
        "//admin/x",
        "/raw/..//admin/x",
        "/raw//../admin/x",
        "/raw//..//../admin/x",
        "/raw/%2e%2e//admin/x",
        "/raw///../../admin/x",
        "//raw/../admin/x",
    ] {
        let response = evenkeel.get(target);
        let is_safe = matches!(response.status, 400 | 403)
            || response.status == 200 && response.text().starts_with("/raw/");
        assert!(is_safe, "{target}: {} {}", response.status, response.text());
    }
}

#[test]
fn a_mirror_gets_the_slashes_that_the_server_gets() {
    let (origin, shadow) = (Origin::named("a"), Origin::named("shadow"));
    let evenkeel = Evenkeel::start(&format!(
        "[listener.web]\nbind = \"127.0.0.1:0\"\n\
         [[route]]\npath = \"/raw/*\"\npool = \"app\"\nmerge_slashes = false\nmirror = {{ pool = \"shadow\" }}\n\
         [[route]]\npath = \"/*\"\npool = \"app\"\nmirror = {{ pool = \"shadow\" }}\n{}[pool.shadow]\nbackends = [\"{}\"]\n",
        pool(&[&origin], ""),
        shadow.address()
    ));
    let mut client = evenkeel.client();
    for (count, (asked, seen)) in
        [("/raw/a//b%5Cc", "/raw/a//b%5Cc"), ("/else//key", "/else/key")].into_iter().enumerate()
    {
        client.get(asked);
        eventually("the copy came", || shadow.count() > count);
        assert_eq!((origin.last().target(), shadow.last().target()), (seen, seen));
    }
}
