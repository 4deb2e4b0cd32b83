//! What a route demands beyond listener, host and path: method, headers, query and client address.

use evenkeel_config::Route;
use percent_encoding::percent_decode;

use super::Facts;

/// The first condition that does not hold; headers and query conditions by their index in the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mismatch {
    Method,
    Header(usize),
    Query(usize),
    Client,
}

/// Whether all conditions of `route` hold.
pub(super) fn conditions(route: &Route, facts: &impl Facts) -> Result<(), Mismatch> {
    if !route.methods.is_empty() && !route.methods.iter().any(|method| method == facts.method()) {
        return Err(Mismatch::Method);
    }
    if let Some(i) = route.headers.iter().position(|(name, value)| !facts.has_header(name, value)) {
        return Err(Mismatch::Header(i));
    }
    if let Some(i) = route.query.iter().position(|(name, value)| !query_has(facts.query(), name, value)) {
        return Err(Mismatch::Query(i));
    }
    if !route.clients.is_empty()
        && !route.clients.iter().any(|net| net.contains(&facts.client().to_canonical()))
    {
        return Err(Mismatch::Client);
    }
    Ok(())
}

/// Why `refusal` was given, for people.
fn explain(route: &Route, refusal: Mismatch, facts: &impl Facts) -> String {
    match refusal {
        Mismatch::Method => format!("the method is {}, not {}", facts.method(), route.methods.join(" or ")),
        Mismatch::Header(i) => {
            let (name, value) = &route.headers[i];
            format!("no header `{name}: {value}`")
        }
        Mismatch::Query(i) => {
            let (name, value) = &route.query[i];
            format!("no query parameter `{name}={value}`")
        }
        Mismatch::Client => {
            let nets: Vec<String> = route.clients.iter().map(ToString::to_string).collect();
            format!("the client {} is not in {}", facts.client().to_canonical(), nets.join(" or "))
        }
    }
}

/// The same without the values of fields and query parameters whose names `is_secret` holds for.
pub(super) fn explain_but(
    route: &Route,
    refusal: Mismatch,
    facts: &impl Facts,
    is_secret: impl Fn(&str) -> bool,
) -> String {
    match refusal {
        Mismatch::Header(i) if is_secret(&route.headers[i].0) => {
            format!("no header `{}` with the value that the route names", route.headers[i].0)
        }
        Mismatch::Query(i) if is_secret(&route.query[i].0) => {
            format!("no query parameter `{}` with the value that the route names", route.query[i].0)
        }
        _ => explain(route, refusal, facts),
    }
}

/// Whether one of the `&`-separated parameters has this name and value after percent-decoding. A parameter without
/// `=` has an empty value; `+` stands for itself.
fn query_has(query: Option<&str>, name: &str, value: &str) -> bool {
    query.is_some_and(|query| {
        query.split('&').any(|parameter| {
            let (n, v) = parameter.split_once('=').unwrap_or((parameter, ""));
            !parameter.is_empty() && decodes_to(n, name) && decodes_to(v, value)
        })
    })
}

fn decodes_to(encoded: &str, plain: &str) -> bool {
    percent_decode(encoded.as_bytes()).eq(plain.bytes())
}

#[cfg(test)]
mod tests {
    use super::query_has;

    #[test]
    fn query_parameters_are_compared_decoded() {
        let yes = ["beta=true", "a=1&beta=true", "beta=false&beta=true", "b%65ta=tru%65", "&&beta=true&"];
        for query in yes {
            assert!(query_has(Some(query), "beta", "true"), "{query}");
        }
        for query in
            ["", "beta", "beta=", "beta=true1", "Beta=true", "xbeta=true", "beta=true=", "beta%3Dtrue"]
        {
            assert!(!query_has(Some(query), "beta", "true"), "{query}");
        }
        assert!(!query_has(None, "beta", "true"));
        assert!(query_has(Some("flag"), "flag", ""));
        assert!(query_has(Some("q=a+b%26c%3Dd"), "q", "a+b&c=d"));
        assert!(!query_has(Some(""), "", ""), "an empty query has no parameter");
    }
}
