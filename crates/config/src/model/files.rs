//! `files` of a route: a directory whose files are the responses.

use std::path::PathBuf;

use crate::declare::{Rules, default_of, section};
use crate::keys::Absent::{Are, Is, Means, Required};
use crate::keys::syntax::{FILE_NAME, FILE_PATTERN, FOLDER, HEADER_VALUE, PATH_BELOW};
use crate::keys::{Kind, key};
use crate::read::Value;

section! {
    /// Files of a directory. What the route's `path` matched before its `/*` is left out when a file is looked up;
    /// with `rewrite`, the rewritten path is looked up. Names that begin with a dot are not served, except below
    /// `.well-known` at the top.
    #[derive(PartialEq, Eq, Hash)]
    pub struct Files "files of [[route]]" {
        /// The directory. Nothing outside of it is served, whatever a symbolic link in it leads to.
        root: PathBuf = key(Kind::Text(&FOLDER), Required, r#""/srv/app""#),
        /// What is served for a directory: the first of these files that is in it.
        index: Vec<String> = key(
            Kind::OneOrList(&Kind::Text(&FILE_NAME), 8),
            Are(&["index.html"]),
            r#"["index.html", "index.htm"]"#,
        ),
        /// What is served, with status 200, for a path at which there is no file: the page of an application that reads the path
        /// itself. It goes out with `Cache-Control: no-cache` unless `cache_control` says something else of it.
        fallback: Option<String> = key(Kind::Text(&PATH_BELOW), Means("404"), r#""/index.html""#),
        /// Serve `app.js.zst`, `app.js.br` or `app.js.gz` for `app.js` to a client that accepts that coding.
        precompressed: bool = key(Kind::Boolean, Is("false"), "true"),
        /// Show what is in a directory that has no index file.
        listing: bool = key(Kind::Boolean, Is("false"), "true"),
        /// `Cache-Control` by the name of the file, or by its path below the root if the pattern begins with `/`. `*` stands for any
        /// characters. The first pattern that fits counts.
        cache_control: Vec<(String, String)> = key(
            Kind::Map(&FILE_PATTERN, &Kind::Text(&HEADER_VALUE), 64),
            Means("no `Cache-Control`"),
            r#"{ "*.html" = "no-cache", "*" = "public, max-age=31536000, immutable" }"#,
        ),
    }
}

impl Rules for Files {
    fn short(value: &Value<'_>) -> Option<Self> {
        Some(Self { root: value.file_of("root")?, ..Self::new(PathBuf::new()) })
    }
}

impl Files {
    /// The files below `root`, with the defaults.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            index: default_of::<Self, _>("index"),
            fallback: None,
            precompressed: default_of::<Self, _>("precompressed"),
            listing: default_of::<Self, _>("listing"),
            cache_control: Vec::new(),
        }
    }
}
