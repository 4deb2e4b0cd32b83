//! `schema` prints a JSON Schema for editors.

use serde_json::Value;

use crate::support::cli;

#[test]
fn it_is_a_schema_that_knows_the_sections_and_refuses_others() {
    let outcome = cli(&["schema"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let schema: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    for section in ["server", "admin", "log", "limits", "listener", "route", "pool"] {
        assert!(schema["properties"][section].is_object(), "{section} is missing");
    }
}
