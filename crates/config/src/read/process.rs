//! Reads `[server]`, `[admin]`, `[log]` and `[limits]`.

use evenkeel_types::{Address, AddressError};

use super::table::{Table, clip};
use super::text::{Refused, file};
use crate::diagnostic::Diagnostic;
use crate::model::{AccessLog, Admin, FileOwner, Limits, Log, LogFormat, Server};

pub(super) fn server(root: &Table<'_>) -> Server {
    root.with("server", |table| Server {
        workers: table
            .value("workers")
            .filter(|value| !value.is_word("auto"))
            .and_then(|value| value.integer())
            .and_then(|number| usize::try_from(number).ok()),
        grace: table.duration("grace"),
        secret_file: table.file(&FileOwner::Process, "secret_file"),
    })
}

pub(super) fn admin(root: &Table<'_>) -> Admin {
    root.with("admin", |table| {
        let written = table.value("bind");
        let explicit = written.is_some();
        let bind = match &written {
            Some(value) if value.is_word("off") => None,
            Some(value) => value.address(admin_address),
            None => admin_address(table.default("bind")).ok(),
        };
        let token_file = table.file(&FileOwner::Process, "token_file");
        if let (Some(value), Some(address)) = (&written, &bind) {
            table.reader.links().admin_bind = Some(value.span.clone());
            if !is_private(address) && !table.has("token_file") {
                table.reader.note(
                    Diagnostic::error("the admin API can be reached from elsewhere, and has no token")
                        .at(value.span.clone())
                        .with_expected("this is neither loopback nor a unix socket")
                        .with_help("add `token_file`, or bind it to 127.0.0.1"),
                );
            }
        }
        Admin { bind, explicit, token_file }
    })
}

pub(super) fn log(root: &Table<'_>) -> Log {
    root.with("log", |table| Log {
        access: match table.value("access").and_then(|value| value.read(access)) {
            Some(AccessLog::File(path)) => AccessLog::File(table.reader.folder.join(path)),
            other => other.unwrap_or(AccessLog::Stdout),
        },
        format: match table.word("format") {
            "combined" => LogFormat::Combined,
            _ => LogFormat::Json,
        },
    })
}

pub(super) fn limits(root: &Table<'_>) -> Limits {
    root.with("limits", |table| {
        let limits = Limits {
            connections: table.count("connections"),
            request_head: table.bytes("request_head"),
            headers: table.count("headers"),
            uri: table.bytes("uri"),
            request_body: table
                .value("request_body")
                .filter(|value| !value.is_word("off"))
                .and_then(|value| value.size()),
            body_rate: table.size("body_rate"),
        };
        if limits.uri > limits.request_head
            && let Some(value) = table.value("uri")
        {
            table.reader.note(
                Diagnostic::warning("`uri` is above `request_head`, which is reached first")
                    .at(value.span)
                    .with_expected("has no effect"),
            );
        }
        limits
    })
}

/// A bare port means 127.0.0.1, as for a server; port 0 and IP addresses alone, as for a listener.
fn admin_address(text: &str) -> Result<Address, AddressError> {
    let bare = text.strip_prefix(':').unwrap_or(text);
    if !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit()) {
        return Address::listener(&format!("127.0.0.1:{bare}"));
    }
    Address::listener(text)
}

fn is_private(address: &Address) -> bool {
    match address {
        Address::Ip(address) => address.ip().to_canonical().is_loopback(),
        Address::Unix(_) => true,
        Address::Name(..) => false,
    }
}

/// A word that is neither known nor looks like a path is a typing mistake, not a file.
fn access(text: &str) -> Result<AccessLog, Refused> {
    match text {
        "off" => Ok(AccessLog::Off),
        "stdout" => Ok(AccessLog::Stdout),
        path if path.contains(['/', '.']) => file(path).map(AccessLog::File),
        word => Err(Refused(
            format!("`{}` is neither \"off\" nor \"stdout\"", clip(word)),
            format!("for a file of that name write `./{}`", clip(word)),
        )),
    }
}
