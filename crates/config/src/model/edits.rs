//! `request_headers` and `response_headers` of a route.

use crate::declare::{Rules, section};
use crate::keys::Absent::Means;
use crate::keys::syntax::{HEADER_NAME, HEADER_VALUE};
use crate::keys::{Kind, key};

section! {
    /// First `remove`, then `set`, then `add`. Fields of a name that is removed or set are left out of trailers, too. The
    /// fields that belong to the connection and to framing cannot be touched.
    #[derive(Default, PartialEq, Eq)]
    pub struct HeaderEdits "request_headers and response_headers of [[route]]" {
        /// Replaces every field of that name.
        set: Vec<(String, String)> = key(
            Kind::Map(&HEADER_NAME, &Kind::Text(&HEADER_VALUE), 64),
            Means("nothing"),
            r#"{ x-env = "prod" }"#,
        ),
        /// Adds one more field.
        add: Vec<(String, String)> = key(
            Kind::Map(&HEADER_NAME, &Kind::Text(&HEADER_VALUE), 64),
            Means("nothing"),
            r#"{ vary = "origin" }"#,
        ),
        /// Removes every field of that name.
        remove: Vec<String> = key(
            Kind::OneOrList(&Kind::Text(&HEADER_NAME), 64),
            Means("nothing"),
            r#"["x-debug"]"#,
        ),
    }
}

impl Rules for HeaderEdits {}

impl HeaderEdits {
    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}
