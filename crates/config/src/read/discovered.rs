//! The names that servers are discovered by.

use evenkeel_types::Address;

use super::text::{Read, Refused, clip};

/// `HOST:PORT`. A dot at the end of the host is kept: it says that the name is complete.
pub(crate) fn dns(text: &str) -> Read<(String, u16)> {
    let refuse = |message: String, help: &str| Err(Refused(message, help.into()));
    if text.split('.').next().is_some_and(|label| label.starts_with('_')) {
        return refuse(
            format!("`{}` is the name of a service", clip(text)),
            "write `srv` in place of `dns`; SRV records have a port of their own",
        );
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return refuse(
            format!("`{}` has no port", clip(text)),
            "add the port of the servers, as in \"api.internal:8080\"",
        );
    };
    let (name, dot) = host.strip_suffix('.').map_or((host, ""), |name| (name, "."));
    match Address::backend(&format!("{name}:{port}")) {
        Ok(Address::Name(name, port)) => Ok((format!("{}{dot}", name.to_ascii_lowercase()), port)),
        Ok(Address::Ip(_)) => refuse(
            format!("`{}` is an address, and nothing is to be discovered", clip(text)),
            "write it in `backends`",
        ),
        Ok(Address::Unix(_)) => refuse(format!("`{}` is no name", clip(text)), "write it in `backends`"),
        Err(fault) => refuse(fault.to_string(), "write a name and a port, as in \"api.internal:8080\""),
    }
}

/// A name without a port, in lower case.
pub(crate) fn srv(text: &str) -> Read<String> {
    let (name, dot) = text.strip_suffix('.').map_or((text, ""), |name| (name, "."));
    if name.contains(':') {
        let (name, _) = name.rsplit_once(':').unwrap_or((name, ""));
        return Err(Refused(
            "SRV records have a port of their own".into(),
            format!("write `{}`, or `dns` in place of `srv` for the addresses of a name", clip(name)),
        ));
    }
    match Address::backend(&format!("{name}:1")) {
        Ok(Address::Name(name, _)) => Ok(format!("{}{dot}", name.to_ascii_lowercase())),
        _ => Err(Refused(
            format!("`{}` is not the name of a service", clip(text)),
            "write service, protocol and domain, as in \"_http._tcp.api.internal\"".into(),
        )),
    }
}
