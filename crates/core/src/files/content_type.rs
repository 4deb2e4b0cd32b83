//! `Content-Type` by the extension of a file's name.

use std::borrow::Cow;

/// What is said of a file of which nothing is known: a browser saves it.
const UNKNOWN: &str = "application/octet-stream";

/// The types of the web, with the names that the standards have for them today, in lower case. What is not here is looked up
/// in the table of `mime_guess`.
const WEB: [(&str, &str); 35] = [
    ("avif", "image/avif"),
    ("br", UNKNOWN),
    ("cjs", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("gz", "application/gzip"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mp4", "video/mp4"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("ts", "video/mp2t"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xml", "application/xml"),
    ("zst", "application/zstd"),
];

/// The value of `Content-Type` for the file at `path`; texts are in UTF-8.
pub fn content_type(path: &str) -> Cow<'static, str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((stem, extension)) = name.rsplit_once('.') else { return UNKNOWN.into() };
    if stem.is_empty() {
        return UNKNOWN.into();
    }
    if let Some((_, known)) = WEB.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known)) {
        return (*known).into();
    }
    match mime_guess::from_ext(extension).first_raw() {
        Some(text) if text.starts_with("text/") => format!("{text}; charset=utf-8").into(),
        Some(other) => other.into(),
        None => UNKNOWN.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_the_web() {
        for (name, expected) in [
            ("app.js", "text/javascript; charset=utf-8"),
            ("a/b/app.MJS", "text/javascript; charset=utf-8"),
            ("index.html", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.wasm", "application/wasm"),
            ("a.avif", "image/avif"),
            ("a.webp", "image/webp"),
            ("a.woff2", "font/woff2"),
            ("a.json", "application/json"),
            ("a.js.map", "application/json"),
            ("a.svg", "image/svg+xml"),
            ("a.webmanifest", "application/manifest+json"),
            ("a.tar.gz", "application/gzip"),
            ("a.ics", "text/calendar; charset=utf-8"),
            ("a.epub", "application/epub+zip"),
            ("a.html/LICENSE", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            ("a.nothing-known", "application/octet-stream"),
            (".js", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), expected, "{name}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_fit_for_a_field() {
        assert!(WEB.is_sorted_by_key(|(extension, _)| *extension));
        assert!(WEB.iter().all(|(_, value)| value.bytes().all(|b| b.is_ascii_graphic() || b == b' ')));
    }
}
