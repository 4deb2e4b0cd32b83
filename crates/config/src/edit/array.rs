//! Lists of TOML whose layout stays: an entry that comes looks like those that are there, and the comments beside an entry
//! that goes go with it.

use toml_edit::{Array, Value};

/// Appends an entry in the layout of the list.
pub(super) fn push(array: &mut Array, mut value: Value) {
    let Some(last) = array.len().checked_sub(1) else {
        array.push(value);
        return;
    };
    let (prefix, suffix) = array.get(last).map(around).unwrap_or_default();
    let trailing = array.trailing().as_str().unwrap_or_default().to_owned();
    let has_comma = array.trailing_comma();
    // What stands behind the last entry, such as a comment on it, stays there.
    let behind = if has_comma { trailing } else { suffix + &trailing };
    if let Some(entry) = array.get_mut(last).filter(|_| !has_comma) {
        entry.decor_mut().set_suffix("");
    }
    if let Some((_, indent)) = prefix.rsplit_once('\n') {
        let (beside, closing) = behind.rsplit_once('\n').unwrap_or((&behind, ""));
        value.decor_mut().set_prefix(format!("{beside}\n{indent}"));
        array.set_trailing(format!("\n{closing}"));
        array.set_trailing_comma(true);
    } else {
        let (suffix, trailing) = if has_comma { ("", behind.as_str()) } else { (behind.as_str(), "") };
        value.decor_mut().set_prefix(if last == 0 { " " } else { &prefix });
        value.decor_mut().set_suffix(suffix);
        array.set_trailing(trailing);
    }
    array.push_formatted(value);
}

/// Removes an entry and the comment on its line; comments on lines of their own stay.
pub(super) fn remove(array: &mut Array, at: usize) {
    let (prefix, suffix) = array.get(at).map(around).unwrap_or_default();
    let is_last = at + 1 == array.len();
    if is_last {
        let trailing = array.trailing().as_str().unwrap_or_default().to_owned();
        let behind = if array.trailing_comma() { trailing } else { suffix + &trailing };
        array.remove(at);
        if array.is_empty() {
            array.set_trailing("");
        } else if prefix.contains('\n') {
            array.set_trailing(joined(&prefix, &behind));
            array.set_trailing_comma(true);
        } else {
            array.set_trailing(&behind);
        }
        return;
    }
    let next = array.get(at + 1).map(around).unwrap_or_default().0;
    array.remove(at);
    let prefix = match (prefix.contains('\n') || next.contains('\n'), at) {
        (true, _) => joined(&prefix, &next),
        // The first entry on a line has no blank before it.
        (false, 0) => prefix,
        (false, _) => next,
    };
    if let Some(entry) = array.get_mut(at) {
        entry.decor_mut().set_prefix(prefix);
    }
}

/// What stands before and behind an entry.
fn around(entry: &Value) -> (String, String) {
    let text =
        |raw: Option<&toml_edit::RawString>| raw.and_then(|raw| raw.as_str()).unwrap_or_default().to_owned();
    (text(entry.decor().prefix()), text(entry.decor().suffix()))
}

/// What stands between two entries once the one between them is gone: `before` stood in front of it, and `behind` behind it.
/// The rest of the line on which it stood spoke of it.
fn joined(before: &str, behind: &str) -> String {
    let kept = before.rsplit_once('\n').map_or("", |(kept, _)| kept);
    let rest = behind.split_once('\n').map_or("", |(_, rest)| rest);
    format!("{kept}\n{rest}")
}
