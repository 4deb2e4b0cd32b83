//! What a server sees instead of the path that was asked for.

use crate::support::{Evenkeel, Origin, ok, pool};

#[test]
fn paths_are_rewritten_and_queries_kept() {
    let origin = Origin::answering(|request| ok(request.target()));
    let evenkeel = Evenkeel::start(&format!(
        "[[route]]\npath = \"/api/*\"\npool = \"app\"\nrewrite = {{ strip_prefix = \"/api\" }}\n\
         [[route]]\npath = \"/old/*\"\npool = \"app\"\nrewrite = {{ path = \"/new/*\" }}\n\
         [[route]]\npath = \"/any/*\"\npool = \"app\"\nrewrite = {{ path = \"/one\" }}\n\
         {}",
        pool(&[&origin], "")
    ));
    let cases = [
        ("/api/users?x=/api", "/users?x=/api"),
        ("/api", "/"),
        ("/api/", "/"),
        ("/api?x", "/?x"),
        ("/apix", "/apix"),
        ("/old/a/b?c", "/new/a/b?c"),
        ("/old", "/new"),
        ("/any/thing?q=1", "/one?q=1"),
        ("/untouched", "/untouched"),
    ];
    let mut client = evenkeel.client();
    for (asked, seen) in cases {
        assert_eq!(client.get(asked).text(), seen, "{asked}");
    }
}
