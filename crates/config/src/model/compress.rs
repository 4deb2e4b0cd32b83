//! `compress` of a route: which responses go out compressed, and with what.

use crate::declare::{Rules, declared, section, word_settings, words};
use crate::diagnostic::Diagnostic;
use crate::keys::Absent::{Are, Is};
use crate::keys::syntax::MEDIA_RANGE;
use crate::keys::{Kind, key};
use crate::read::text::{Read, Refused};
use crate::read::{Table, Value, clip};
use crate::settings::{Text, text_settings};

words! {
    /// A content coding that compresses (RFC 9110, 8.4.1).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Encoding {
        /// Zstandard (RFC 8878, 9659).
        Zstd = "zstd",
        /// Brotli (RFC 7932).
        Br = "br",
        /// RFC 1952.
        Gzip = "gzip",
    }
}

word_settings!(Encoding);

impl Encoding {
    /// All of them, in the order in which they are chosen when a client does not care.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Br, Self::Gzip];
}

/// One encoding, or several.
static ENCODINGS: Kind = Kind::OneOrList(&Kind::OneOf(Encoding::WORDS), 3);
/// `compress` when it is no table.
pub(super) static SHORT: Kind = Kind::Either(&Kind::Boolean, &ENCODINGS);

section! {
    /// Compresses responses on their way to clients that accept it: those with a status, a `Content-Type` and a length that
    /// are worth it, unless they have a `Content-Encoding` already or `Cache-Control: no-transform`. Leave it off where a
    /// page holds a secret and text that an attacker may choose, because the length of the compressed page then tells of
    /// the secret (BREACH).
    #[derive(PartialEq, Eq)]
    pub struct Compress "compress of [[route]]" {
        /// What a client may get. Of those that it likes alike, the first.
        encodings: Vec<Encoding> = key(
            Kind::OneOrList(&Kind::OneOf(Encoding::WORDS), 3),
            Are(&["zstd", "br", "gzip"]),
            r#"["br", "gzip"]"#,
        ),
        /// The media types of responses that are compressed. A `*` stands for any subtype, or a part of one; types that
        /// hold compressed data, such as `image/png`, must be named in full.
        types: Vec<MediaRange> = key(
            Kind::OneOrList(&Kind::Text(&MEDIA_RANGE), 64),
            Are(TYPES),
            r#"["text/*", "application/json"]"#,
        ),
        /// A response that is known to be smaller stays as it is.
        min_size: u64 = key(Kind::Size(0, 1 << 30), Is("1KiB"), r#""256B""#),
        /// From quick to small, by each encoding's own scale; `br` has 2 to 6. A worker that is late takes lower
        /// levels, or sends responses as they are.
        level: u32 = key(Kind::Integer(1, 9), Is("4"), "6"),
    }
}

/// What is text, or nearly: not what is compressed by itself.
const TYPES: &[&str] = &[
    "text/*",
    "application/json",
    "application/*+json",
    "application/x-ndjson",
    "application/javascript",
    "application/x-javascript",
    "application/xml",
    "application/*+xml",
    "application/wasm",
    "application/yaml",
    "application/vnd.ms-fontobject",
    "font/otf",
    "font/ttf",
    "image/svg+xml",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
];

impl Rules for Compress {
    fn finish(&mut self, table: &Table<'_>) {
        if let Some(twice) = twice(&self.encodings) {
            let message = format!("`{}` is listed twice in `encodings`", twice.word());
            table.warn_of("encodings", message, "once is enough");
        }
    }

    /// `true`, or a list of encodings. `false` is no compression, which nothing stands for.
    fn short(value: &Value<'_>) -> Option<Self> {
        if value.is_boolean() {
            return value.boolean()?.then(Self::default);
        }
        if !value.is_string() && !value.is_list() {
            return value.refuse_type("");
        }
        let list = value.as_kind(&ENCODINGS);
        let items = list.items();
        let encodings: Vec<Encoding> =
            items.iter().filter_map(|item| Encoding::from_word(item.word()?)).collect();
        if let Some(twice) = twice(&encodings) {
            let warning = Diagnostic::warning(format!("`{}` is listed twice in `compress`", twice.word()));
            value.reader.note(warning.at(value.span.clone()).with_expected("once is enough"));
        }
        Some(Self { encodings, ..Self::default() })
    }
}

fn twice(encodings: &[Encoding]) -> Option<Encoding> {
    encodings.iter().enumerate().find(|(at, one)| encodings[..*at].contains(one)).map(|(_, one)| *one)
}

impl Default for Compress {
    /// What `compress = true` stands for.
    fn default() -> Self {
        declared().expect("every key of `compress` has a default")
    }
}

/// Media types, as in `text/*`, `application/json` or `application/*+xml`; in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaRange {
    /// Before the `/`; `*` is any.
    kind: String,
    /// What the subtype begins with.
    start: String,
    /// What it ends with, behind a `*`; `None` if there is no `*`.
    end: Option<String>,
}

/// Types whose data is compressed by itself: a `*` does not stand for them.
const COMPRESSED: &[(&str, &[&str])] = &[
    ("image", &["png", "jpeg", "jpg", "gif", "webp", "avif", "heic", "heif", "jxl", "apng", "jp2"]),
    ("font", &["woff", "woff2"]),
    (
        "application",
        &[
            "gzip",
            "zip",
            "zstd",
            "br",
            "x-brotli",
            "x-gzip",
            "x-bzip2",
            "x-xz",
            "x-7z-compressed",
            "x-rar-compressed",
            "vnd.rar",
            "pdf",
            "java-archive",
            "epub+zip",
            "font-woff",
            "font-woff2",
        ],
    ),
];

impl MediaRange {
    /// True if it stands for this type, which is in lower case and without parameters.
    pub fn holds(&self, media_type: &str) -> bool {
        let Some((kind, subtype)) = media_type.split_once('/') else { return false };
        let is_kind = self.kind == "*" || self.kind == kind;
        match &self.end {
            None => is_kind && subtype == self.start,
            Some(end) => {
                let rest = subtype.strip_prefix(&*self.start);
                is_kind && rest.is_some_and(|rest| rest.ends_with(&**end)) && !is_compressed(kind, subtype)
            }
        }
    }
}

fn is_compressed(kind: &str, subtype: &str) -> bool {
    matches!(kind, "audio" | "video")
        || COMPRESSED.iter().any(|(of, subtypes)| *of == kind && subtypes.contains(&subtype))
}

text_settings!(MediaRange);

impl Text for MediaRange {
    fn form(text: &str) -> Read<Self> {
        let refuse = |why: &str| {
            let help = "write a type such as \"application/json\", \"text/*\" or \"application/*+xml\"";
            Err(Refused(format!("`{}` {why}", clip(text)), help.into()))
        };
        let lower = text.to_ascii_lowercase();
        let Some((kind, subtype)) = lower.split_once('/') else { return refuse("has no `/`") };
        let is_name =
            |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
        let (start, end) = match subtype.split_once('*') {
            Some((start, end)) => (start, Some(end)),
            None => (subtype, None),
        };
        let is_whole = !kind.is_empty() && !subtype.is_empty();
        if !is_whole || !(kind == "*" || is_name(kind)) || !is_name(start) || !is_name(end.unwrap_or("")) {
            return refuse("is no media type");
        }
        if kind == "*" && subtype != "*" {
            return refuse("has a `*` for the type and a subtype");
        }
        Ok(Self { kind: kind.into(), start: start.into(), end: end.map(Into::into) })
    }

    fn written(&self) -> String {
        let Self { kind, start, end } = self;
        match end {
            Some(end) => format!("{kind}/{start}*{end}"),
            None => format!("{kind}/{start}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(range: &str, media_type: &str) -> bool {
        MediaRange::form(range).ok().expect("a range").holds(media_type)
    }

    #[test]
    fn a_range_holds_what_its_stars_leave_open() {
        assert!(holds("text/*", "text/html") && !holds("text/*", "texts/html") && !holds("text/*", "text"));
        assert!(
            holds("Application/JSON", "application/json") && !holds("application/json", "application/jsonp")
        );
        assert!(holds("application/*+xml", "application/atom+xml"));
        assert!(
            !holds("application/*+xml", "application/xml")
                && !holds("application/*+xml", "application/xml+x")
        );
        assert!(holds("application/vnd.*", "application/vnd.api+json"));
        assert!(holds("*/*", "x/y"));
    }

    #[test]
    fn a_star_stands_for_nothing_that_is_compressed_by_itself() {
        assert!(!holds("image/*", "image/png") && holds("image/*", "image/svg+xml"));
        assert!(!holds("*/*", "video/mp4") && !holds("font/*", "font/woff2"));
        assert!(holds("image/png", "image/png"), "unless it is named");
    }

    #[test]
    fn the_defaults_take_text_and_leave_pictures() {
        let defaults = Compress::default();
        let takes = |media_type: &str| defaults.types.iter().any(|range| range.holds(media_type));
        for media_type in [
            "text/html",
            "application/json",
            "image/svg+xml",
            "text/event-stream",
            "application/problem+json",
        ] {
            assert!(takes(media_type), "{media_type}");
        }
        for media_type in
            ["image/png", "video/mp4", "application/octet-stream", "application/grpc", "application/zip"]
        {
            assert!(!takes(media_type), "{media_type}");
        }
    }
}
