//! Relative links in Markdown lead to files that exist.
//!
//! lychee checks the same and more, but CI would build its 500 packages for longer than this file is worth.

use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag};

use super::Finding;

/// Checks the links and images of a Markdown file; `exists` is asked with paths relative to the repository.
pub fn check(file: &str, text: &str, exists: impl Fn(&Path) -> bool) -> Vec<Finding> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
    let events = Parser::new_ext(text, options).into_offset_iter();
    events
        .filter_map(|(event, range)| {
            let target = match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => dest_url,
                _ => return None,
            };
            let path = resolve(file, &target)?;
            let line = 1 + text.bytes().take(range.start).filter(|b| *b == b'\n').count();
            let problem = match path {
                Some(path) if exists(&path) => return None,
                Some(path) => format!("the link `{target}` leads nowhere: {} does not exist", path.display()),
                None => format!("the link `{target}` leads out of the repository"),
            };
            Some(Finding::new(file, line, problem))
        })
        .collect()
}

/// The file that `target` names when it stands in `file`: `None` when it is no relative link,
/// `Some(None)` when it climbs out of the repository.
fn resolve(file: &str, target: &str) -> Option<Option<PathBuf>> {
    let path = target.split(['#', '?']).next().filter(|path| !path.is_empty())?;
    let scheme = path.split_once(':').is_some_and(|(s, _)| s.bytes().all(|b| b.is_ascii_alphanumeric()));
    if scheme || path.starts_with("//") {
        return None;
    }
    let from_root = path.strip_prefix('/').map(PathBuf::from);
    let joined = from_root.unwrap_or_else(|| Path::new(file).parent().unwrap_or(Path::new("")).join(path));
    let mut resolved = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::ParentDir if !resolved.pop() => return Some(None),
            Component::Normal(name) => resolved.push(name),
            _ => {}
        }
    }
    Some(Some(resolved))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &str, text: &str) -> Vec<usize> {
        let there = ["README.md", "docs", "docs/request.md", "bench/results/all.svg"];
        check(file, text, |p| there.iter().any(|t| Path::new(t) == p)).iter().map(|f| f.line).collect()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let text = "[a](request.md#life) [b](../README.md) [c](/docs/request.md) ![d](../bench/results/all.svg \"t\")\n\
                    [web](https://example.com/x) [mail](mailto:a@example.com) [here](#below) [dir](../docs/)\n";
        assert!(lines("docs/glossary.md", text).is_empty());
    }

    #[test]
    fn links_that_lead_nowhere_are_named_with_their_line() {
        assert_eq!(lines("README.md", "# T\n\n[a](docs/none.md)\n\n![b](none.svg)\n"), [3, 5]);
        assert_eq!(lines("README.md", "see [a]\n\n[a]: docs/none.md\n"), [1]);
        assert_eq!(lines("README.md", "| a |\n|---|\n| [x](none) |\n"), [3]);
        assert_eq!(lines("README.md", "[out](../other/README.md)\n"), [1]);
    }

    #[test]
    fn code_holds_no_links() {
        assert!(lines("README.md", "```\n[a](none)\n```\nand `[b](none)`\n").is_empty());
    }
}
