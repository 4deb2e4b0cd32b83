//! The page that shows what is in a directory.

use std::fmt::Write;
use std::os::fd::OwnedFd;

use rustix::fs::{Dir, FileType};

use super::disk::DiskError;

/// Names on one page at most; the page says when there are more.
const NAMES_MAX: usize = 10_000;

/// A page of HTML with the names in a directory, directories first, in order; not those that begin with a dot. `path` is the directory's
/// own, below the root.
pub fn page(path: &str, directory: OwnedFd) -> Result<String, DiskError> {
    let mut names = Vec::new();
    let mut is_cut = false;
    for entry in Dir::new(directory)? {
        let entry = entry?;
        // What is no UTF-8 cannot be asked for.
        let Ok(name) = entry.file_name().to_str() else { continue };
        let kind = entry.file_type();
        let is_shown = matches!(
            kind,
            FileType::Directory | FileType::RegularFile | FileType::Symlink | FileType::Unknown
        );
        if name.starts_with('.') || !is_shown {
            continue;
        }
        if names.len() == NAMES_MAX {
            is_cut = true;
            break;
        }
        names.push((kind != FileType::Directory, name.to_owned()));
    }
    names.sort();
    Ok(html(path, &names, is_cut))
}

/// `names`: whether each is no directory, and the name.
fn html(path: &str, names: &[(bool, String)], is_cut: bool) -> String {
    let mut out = String::with_capacity(512 + names.len() * 64);
    let title = if path.is_empty() { "/".to_owned() } else { format!("/{path}/") };
    out.push_str("<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"><title>");
    escape(&mut out, &title);
    out.push_str("</title></head>\n<body>\n<h1>");
    escape(&mut out, &title);
    out.push_str("</h1>\n<ul>\n");
    if !path.is_empty() {
        out.push_str("<li><a href=\"../\">../</a></li>\n");
    }
    for (is_file, name) in names {
        let slash = if *is_file { "" } else { "/" };
        // With `./` in front, because a name may hold a colon.
        out.push_str("<li><a href=\"./");
        encode(&mut out, name);
        out.push_str(slash);
        out.push_str("\">");
        escape(&mut out, name);
        out.push_str(slash);
        out.push_str("</a></li>\n");
    }
    out.push_str("</ul>\n");
    if is_cut {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "<p>and more than these {NAMES_MAX}</p>");
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

/// Percent-encodes all but unreserved characters (RFC 3986, 2.3).
fn encode(out: &mut String, name: &str) {
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_encoded() {
        let names = [(false, "<b>".to_owned()), (true, "a \"b\" & ä?#%.txt".to_owned())];
        let html = html("x<y", &names, false);
        assert!(html.contains("<h1>/x&lt;y/</h1>"), "{html}");
        assert!(html.contains("<a href=\"./%3Cb%3E/\">&lt;b&gt;/</a>"), "{html}");
        let line = "<a href=\"./a%20%22b%22%20%26%20%C3%A4%3F%23%25.txt\">a &quot;b&quot; &amp; ä?#%.txt</a>";
        assert!(html.contains(line), "{html}");
        assert!(html.contains("<a href=\"../\">"), "{html}");
    }
}
