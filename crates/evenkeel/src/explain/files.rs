//! What explaining says of a route to files.

use evenkeel_config::{Files, Route};
use evenkeel_core::compress;
use evenkeel_core::files::{FileMethod, FilePath, cache_control, content_type};
use evenkeel_proxy::Request;
use serde_json::{Value, json};

use super::compressed;

/// Which file the request is for. What is on the disk is not looked at: it may be another machine's.
pub(super) fn file(answer: &mut Value, files: &Files, path: &str, route: &Route, request: &Request<'_>) {
    answer["files"] = json!(files.root.display().to_string());
    match FileMethod::of(request.method) {
        FileMethod::Read => {}
        FileMethod::Options => return answer["status"] = json!(204),
        FileMethod::NotAllowed => {
            (answer["status"], answer["reason"]) = (json!(405), json!("a file can only be read"));
            return;
        }
    }
    let below = match FilePath::of(path) {
        Ok(FilePath { path, is_directory: false }) => path.into_owned(),
        Ok(FilePath { path, is_directory: true }) => {
            let index = files.index.first().map_or("", String::as_str);
            if path.is_empty() { index.to_owned() } else { format!("{path}/{index}") }
        }
        Err(why) => {
            answer["reason"] = json!(why.to_string());
            let Some(fallback) = &files.fallback else { return answer["status"] = json!(404) };
            fallback.trim_start_matches('/').to_owned()
        }
    };
    answer["file"] = json!(files.root.join(&below).display().to_string());
    answer["type"] = json!(content_type(&below));
    answer["control"] = json!(cache_control(files, &below));
    let content_type = content_type(&below);
    let facts = compress::Facts {
        status: 200,
        content_type: Some(content_type.as_bytes()),
        no_transform: cache_control(files, &below).is_some_and(|value| value.contains("no-transform")),
        ..compress::Facts::default()
    };
    compressed(answer, route, request, Some(&facts));
    answer["fallback"] = json!(files.fallback);
}
