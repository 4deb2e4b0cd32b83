//! A request of our own making that outlives the one it was made of: what fetches a response for the cache.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;
use std::rc::Rc;

use evenkeel_types::{RequestIdText, Time};

use crate::http::field::{Field, Known, KnownSet, Span};
use crate::http::framing::Framing;
use crate::http::version::Version;
use crate::request::incoming::Request;
use crate::request::trace::Trace;
use crate::server::Sender;

/// A request without a body that belongs to no client's connection.
#[derive(Debug)]
pub struct Detached {
    head: Vec<u8>,
    fields: Vec<Field>,
    known: KnownSet,
    method: &'static str,
    version: Version,
    scheme: &'static str,
    authority: String,
    host: String,
    path: String,
    unmerged: Option<String>,
    query: Option<String>,
    client: IpAddr,
    peer_text: String,
    reserved: Vec<String>,
    subject: Option<(String, String)>,
    trusted: bool,
    port: Option<u16>,
    sender: Option<Rc<Sender>>,
    drops_underscores: bool,
    id: String,
    started: Time,
    trace: Option<Trace>,
}

impl Detached {
    /// A GET for what `request` asks for, which may be a HEAD: without its body, without the fields whose names `is_left_out`
    /// holds for, and with `added` ones.
    pub fn of(request: &Request<'_>, is_left_out: impl Fn(&[u8]) -> bool, added: &[(&str, &[u8])]) -> Self {
        let mut detached = Self {
            head: Vec::with_capacity(request.bytes.len()),
            fields: Vec::with_capacity(request.fields.len() + added.len()),
            known: KnownSet::default(),
            method: "GET",
            version: request.version,
            scheme: request.scheme,
            authority: request.authority.to_owned(),
            host: request.host.to_string(),
            path: request.path.to_string(),
            unmerged: request.unmerged.map(str::to_owned),
            query: request.query.map(str::to_owned),
            client: request.client,
            peer_text: request.peer_text.to_owned(),
            reserved: request.reserved.to_vec(),
            subject: request.subject.map(|(name, value)| (name.to_owned(), value.to_owned())),
            trusted: request.trusted,
            port: request.port,
            sender: request.sender.cloned(),
            drops_underscores: request.drops_underscores,
            id: request.id.to_string(),
            started: request.started,
            trace: request.trace.get().map(|trace| trace.branch()),
        };
        for field in request.fields {
            let name = field.name.of_bytes(request.bytes);
            if !is_left_out(name) {
                detached.add(field.known, name, field.value.of_bytes(request.bytes));
            }
        }
        for (name, value) in added {
            detached.add(Known::Other, name.as_bytes(), value);
        }
        detached.head.extend_from_slice(b"\r\n");
        detached
    }

    fn add(&mut self, known: Known, name: &[u8], value: &[u8]) {
        let start = self.head.len();
        self.head.extend_from_slice(name);
        self.head.extend_from_slice(b": ");
        let from = self.head.len();
        self.head.extend_from_slice(value);
        let name = Span::between(start, start + name.len());
        self.fields.push(Field { known, name, value: Span::between(from, self.head.len()) });
        self.known.insert(known);
        self.head.extend_from_slice(b"\r\n");
    }

    /// The request.
    pub fn request(&self) -> Request<'_> {
        Request {
            bytes: &self.head,
            fields: &self.fields,
            known: self.known,
            method: self.method,
            version: self.version,
            scheme: self.scheme,
            authority: &self.authority,
            host: Cow::Borrowed(&self.host),
            path: Cow::Borrowed(&self.path),
            unmerged: self.unmerged.as_deref(),
            query: self.query.as_deref(),
            client: self.client,
            peer_text: &self.peer_text,
            reserved: &self.reserved,
            subject: self.subject.as_ref().map(|(name, value)| (name.as_str(), value.as_str())),
            trusted: self.trusted,
            port: self.port,
            sender: self.sender.as_ref(),
            unsent: None,
            drops_underscores: self.drops_underscores,
            id: RequestIdText::Given(Cow::Borrowed(&self.id)),
            upgrade: None,
            declared: Framing::Empty,
            expects_continue: false,
            started: self.started,
            trace: self.trace.as_ref().map_or_else(OnceCell::new, |trace| Box::new(trace.branch()).into()),
        }
    }
}
