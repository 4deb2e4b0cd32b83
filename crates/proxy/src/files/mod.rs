//! Static files: what a route with `files` answers. What is not kept is looked up on the disk, away from the worker's thread.

mod answer;
pub mod body;
mod disk;
mod listing;
mod lookup;
mod pool;
pub mod store;
mod version;

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use evenkeel_config::{Files, Redirect};
use evenkeel_core::files::{ALLOWED, FileMethod, FilePath};
use evenkeel_core::route::location;
use evenkeel_observe::Ended;

use self::answer::{answer, deny, refusal};
use self::disk::DiskError;
use self::lookup::{Found, Variants};
use self::pool::NoOutcome;
use self::store::{Question, Seen};
use crate::client::writer::{ResponseWriter, can_stay};
use crate::http::framing::Framing;
use crate::request::answer::redirect;
use crate::request::incoming::{Incoming, Request};
use crate::request::log::RequestLog;
use crate::response::{Body, Head, Response, reason};
use crate::worker::Worker;

/// The response with the file at this path, if it is kept: without a look at the disk.
pub fn at_once<'x, 'c>(
    worker: &Rc<Worker>,
    request: &Request<'_>,
    (files, path): (&Arc<Files>, &str),
    log: &mut RequestLog,
) -> Option<Response<'x, 'c>> {
    if FileMethod::of(request.method) != FileMethod::Read {
        return None;
    }
    let FilePath { path, is_directory } = FilePath::of(path).ok()?;
    let question = Question { files, path: &path, is_directory };
    let variants = match worker.files.see(question, request.started) {
        Seen::Fresh(variants) => variants,
        Seen::Aging(variants) => {
            look_again(worker, files, path.into_owned(), is_directory);
            variants
        }
        Seen::Unknown => return None,
    };
    Some(answer(worker, request, files, (&variants, false), log))
}

/// Looks at a file on the disk while it is still served as it was.
fn look_again(worker: &Rc<Worker>, files: &Arc<Files>, path: String, is_directory: bool) {
    let (worker, files) = (Rc::clone(worker), Arc::clone(files));
    tokio::task::spawn_local(async move {
        // Without an outcome the next request looks itself.
        let _ = worker.files.look(Question { files: &files, path: &path, is_directory }).await;
    });
}

/// The response for this path.
///
/// # Errors
/// The client has gone.
pub async fn find<'x, 'c>(
    worker: &Rc<Worker>,
    incoming: Incoming<'x, 'c>,
    (files, path): (&Arc<Files>, Cow<'_, str>),
    writer: &mut ResponseWriter<'c>,
    log: &mut RequestLog,
) -> Result<Response<'x, 'c>, Ended> {
    let request = incoming.request;
    match FileMethod::of(request.method) {
        FileMethod::Read => {}
        FileMethod::Options => return Ok(options(worker)),
        FileMethod::NotAllowed => {
            writer.keep_alive &= can_stay(&incoming.body.borrow(), 405);
            let mut response = deny(worker, request, log, refusal(405, "a file can only be read"), None);
            response.head.field("allow", ALLOWED.as_bytes());
            return Ok(response);
        }
    }
    let (found, why) = match FilePath::of(&path) {
        Ok(FilePath { path, is_directory }) => {
            let question = Question { files, path: &path, is_directory };
            let looked = writer.unless_gone(worker.files.look(question)).await;
            (looked.map_err(|_| Ended::ClientAborted)?, None)
        }
        Err(why) => (Ok(Found::Nothing(DiskError::Missing)), Some(why.to_string())),
    };
    match found {
        Ok(Found::File(variants)) => Ok(answer(worker, request, files, (&variants, false), log)),
        Ok(Found::Directory) => Ok(with_slash(worker, request)),
        Ok(Found::Listing(page)) => Ok(listing(worker, page)),
        Ok(Found::Nothing(DiskError::Missing)) => {
            Ok(match fall_back(worker, request, files, writer).await? {
                Some(variants) => answer(worker, request, files, (&variants, true), log),
                None => deny(worker, request, log, refusal(404, "there is no such file"), why),
            })
        }
        Ok(Found::Nothing(error)) => Ok(failed(worker, request, files, log, error)),
        Err(NoOutcome::Busy) => Ok(deny(
            worker,
            request,
            log,
            refusal(503, "the disk is busy"),
            Some(NoOutcome::Busy.to_string()),
        )),
        Err(NoOutcome::Slow) => Ok(deny(
            worker,
            request,
            log,
            refusal(504, "the disk is too slow"),
            Some(NoOutcome::Slow.to_string()),
        )),
    }
}

/// The page that stands for all paths at which there is nothing, if the route has one and it is there.
async fn fall_back(
    worker: &Rc<Worker>,
    request: &Request<'_>,
    files: &Arc<Files>,
    writer: &mut ResponseWriter<'_>,
) -> Result<Option<Arc<Variants>>, Ended> {
    let Some(path) = &files.fallback else { return Ok(None) };
    let question = Question { files, path: path.trim_start_matches('/'), is_directory: false };
    match worker.files.see(question, request.started) {
        Seen::Fresh(variants) => return Ok(Some(variants)),
        Seen::Aging(variants) => {
            look_again(worker, files, question.path.to_owned(), false);
            return Ok(Some(variants));
        }
        Seen::Unknown => {}
    }
    match writer.unless_gone(worker.files.look(question)).await {
        Ok(Ok(Found::File(variants))) => Ok(Some(variants)),
        Ok(_) => Ok(None),
        Err(_) => Err(Ended::ClientAborted),
    }
}

fn failed<'x, 'c>(
    worker: &Worker,
    request: &Request<'_>,
    files: &Files,
    log: &mut RequestLog,
    error: DiskError,
) -> Response<'x, 'c> {
    match error {
        DiskError::Missing => deny(worker, request, log, refusal(404, "there is no such file"), None),
        DiskError::Forbidden => deny(worker, request, log, refusal(403, "this file is not to be read"), None),
        DiskError::Exhausted => {
            let detail = "no descriptor is left for the file".to_owned();
            deny(worker, request, log, refusal(503, "too many files are open"), Some(detail))
        }
        DiskError::Failed(errno) => {
            let detail = format!("a file below {} cannot be read: {errno}", files.root.display());
            deny(worker, request, log, refusal(500, "the file cannot be read"), Some(detail))
        }
    }
}

fn options<'x, 'c>(worker: &Worker) -> Response<'x, 'c> {
    let mut head = Head::new(204, reason(204).as_bytes(), worker.buffers.medium());
    head.field("allow", ALLOWED.as_bytes());
    Response::of_bytes(head, &b""[..])
}

/// The same path with a `/` behind it, so that what a page links to is looked for in the directory.
fn with_slash<'x, 'c>(worker: &Worker, request: &Request<'_>) -> Response<'x, 'c> {
    let to = Redirect { to: "{path}/{query}".into(), status: 308 };
    redirect(
        worker,
        to.status,
        &location(&to, request.scheme, request.authority, &request.path, request.query),
    )
}

fn listing<'x, 'c>(worker: &Worker, page: Bytes) -> Response<'x, 'c> {
    let mut head = Head::new(200, reason(200).as_bytes(), worker.buffers.medium());
    head.field("content-type", b"text/html; charset=utf-8");
    head.field("cache-control", b"no-cache");
    let framing = Framing::Length(page.len() as u64);
    Response { head, body: Body::Shared(page), framing, ended: Ended::Complete, closes: false }
}
