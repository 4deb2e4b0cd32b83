//! Text from outside, such as what a client or a server says, as logs, records and terminals may show it.

/// What stands at the end of a text that was cut.
const ELLIPSIS: &str = "\u{2026}";

/// The text in at most `bytes_max` bytes: the beginning of a longer one, cut between characters, ends with `…`.
pub fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let room = bytes_max.saturating_sub(ELLIPSIS.len());
    let end = (0..=room).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}{ELLIPSIS}", &text[..end])
}

/// The text on one line, without what a terminal would obey and what turns the direction of text: such characters are escaped, as in
/// `\n` or `\u{1b}`.
pub fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns_text(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

fn turns_text(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        for (text, bytes_max, expected) in
            [("short", 5, "short"), ("longer", 5, "lo…"), ("aéé", 5, "aéé"), ("aééé", 5, "a…"), ("", 0, "")]
        {
            assert_eq!(cut(text, bytes_max), expected, "{text}");
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(one_line("a\u{1b}[2J\u{7}\u{9b}\u{202e}ü"), "a\\u{1b}[2J\\u{7}\\u{9b}\\u{202e}ü");
        assert_eq!(one_line("a\r\nb\tc'\""), "a\\r\\nb\\tc'\"");
    }
}
