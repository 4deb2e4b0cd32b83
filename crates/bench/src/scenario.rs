//! What is asked: one request, or a weighted mix of requests with values filled in.

mod read;
mod template;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};
use http_body_util::Full;

pub use read::read;
use template::{Template, Values};

use crate::target::Target;

/// A request as it is sent.
pub type Message = Request<Full<Bytes>>;

/// A weighted mix of requests.
#[derive(Debug, Clone)]
pub struct Scenario {
    requests: Vec<Planned>,
    values: Vec<Values>,
    weights: u64,
}

/// One request of a scenario.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its name in reports.
    pub name: String,
    /// How often it is chosen, in proportion to the others.
    pub weight: u32,
    method: Method,
    path: Template,
    headers: Vec<(HeaderName, Template)>,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    Fixed(Bytes),
    Filled(Template),
}

impl Scenario {
    /// One request alone: its path is that of the target, and nothing in it is filled in.
    ///
    /// # Errors
    /// A header's value is none.
    pub fn single(
        method: Method,
        target: &Target,
        headers: &[(HeaderName, HeaderValue)],
        body: Vec<u8>,
    ) -> Result<Self, String> {
        let mut fixed = Vec::new();
        for (name, value) in headers {
            let text = value.to_str().map_err(|_| format!("the value of `{name}` is not ASCII"))?;
            fixed.push((name.clone(), Template::fixed(text)));
        }
        let request = Planned {
            name: target.path.clone(),
            weight: 1,
            method,
            path: Template::fixed(&target.path),
            headers: fixed,
            body: Body::Fixed(body.into()),
        };
        Ok(Self { requests: vec![request], values: Vec::new(), weights: 1 })
    }

    /// Adds these headers to each request that has none of their name.
    ///
    /// # Errors
    /// A header's value is none.
    pub fn with_headers(mut self, headers: &[(HeaderName, HeaderValue)]) -> Result<Self, String> {
        for (name, value) in headers {
            let text = value.to_str().map_err(|_| format!("the value of `{name}` is not ASCII"))?;
            for request in &mut self.requests {
                if request.headers.iter().all(|(own, _)| own != name) {
                    request.headers.push((name.clone(), Template::fixed(text)));
                }
            }
        }
        Ok(self)
    }

    fn of(requests: Vec<Planned>, values: Vec<Values>) -> Self {
        let weights = requests.iter().map(|request| u64::from(request.weight)).sum();
        Self { requests, values, weights }
    }

    /// Its requests, in the order of the file.
    pub fn requests(&self) -> &[Planned] {
        &self.requests
    }

    /// Chooses one, by weight. `random` gives a number below the one that it is given.
    pub fn choose(&self, mut random: impl FnMut(u64) -> u64) -> usize {
        if self.requests.len() == 1 {
            return 0;
        }
        let mut at = random(self.weights);
        let is_it = |request: &Planned| {
            let weight = u64::from(request.weight);
            let hit = at < weight;
            at = at.saturating_sub(weight);
            hit
        };
        self.requests.iter().position(is_it).unwrap_or_default()
    }

    /// The request as it is sent to `target`. A value that stands in it several times is the same everywhere in it.
    pub fn message(
        &self,
        request: usize,
        target: &Target,
        http2: bool,
        random: &mut impl FnMut(u64) -> u64,
    ) -> Message {
        let planned = &self.requests[request];
        let mut drawn = vec![None; self.values.len()];
        let mut fill = |template: &Template| template.fill(&self.values, &mut drawn, random);
        let path = PathAndQuery::try_from(fill(&planned.path)).expect("checked with the scenario");
        let body = match &planned.body {
            Body::Fixed(bytes) => bytes.clone(),
            Body::Filled(template) => Bytes::from(fill(template)),
        };
        let mut message = Request::new(Full::new(body));
        *message.method_mut() = planned.method.clone();
        let mut host = HeaderValue::try_from(&*target.authority).expect("part of a URL");
        for (name, value) in &planned.headers {
            let value = HeaderValue::try_from(fill(value)).expect("checked with the scenario");
            if name == http::header::HOST {
                host = value;
            } else {
                message.headers_mut().append(name, value);
            }
        }
        if http2 {
            *message.version_mut() = Version::HTTP_2;
            let scheme = if target.tls { "https" } else { "http" };
            let uri = Uri::builder().scheme(scheme).authority(host.as_bytes()).path_and_query(path);
            *message.uri_mut() = uri.build().unwrap_or_default();
        } else {
            message.headers_mut().insert(http::header::HOST, host);
            *message.uri_mut() = Uri::from(path);
        }
        message
    }
}

#[cfg(test)]
mod tests;
