//! What tests of the cache have in common: a route with a cache, answers of a given freshness, and what `Cache-Status` says.

use std::thread;

use super::{Client, DEADLINE, Evenkeel, Origin, Response, answer, eventually, pool};

/// A configuration whose only route, `main`, leads to the pool `app` through a cache with these rules.
pub fn config(origins: &[&Origin], rules: &str) -> String {
    let servers = pool(origins, "");
    format!("[[route]]\nname = \"main\"\npath = \"/*\"\npool = \"app\"\ncache = {rules}\n{servers}")
}

/// A balancer with such a configuration.
pub fn start(origin: &Origin, rules: &str) -> Evenkeel {
    Evenkeel::start(&config(&[origin], rules))
}

/// A 200 that is fresh for ten minutes, with further lines.
pub fn fresh(fields: &str, body: &str) -> String {
    answer(200, &format!("cache-control: max-age=600\r\n{fields}"), body)
}

/// A 200 that is stale as it comes, but can be revalidated; `directives` are further ones of `Cache-Control`.
pub fn stale(directives: &str, etag: &str, body: &str) -> String {
    let fields = format!("cache-control: max-age=10{directives}\r\nage: 15\r\netag: \"{etag}\"\r\n");
    answer(200, &fields, body)
}

/// What our cache says of a response, behind what caches before it say.
#[track_caller]
pub fn said(response: &Response) -> String {
    response.headers("cache-status").last().copied().unwrap_or("nothing").to_owned()
}

/// True if the response came out of the cache without a request to a server.
pub fn is_hit(response: &Response) -> bool {
    said(response).starts_with("Evenkeel; hit")
}

/// Asserts that the cache says this of a response.
#[track_caller]
pub fn assert_said(response: &Response, wanted: &str) {
    let said = said(response);
    assert!(
        said.contains(wanted),
        "`{wanted}` is missing in `{said}`: {} {:?}",
        response.status,
        response.head
    );
}

/// Waits until the second of two equal requests is a hit.
#[track_caller]
pub fn wait_until_kept(evenkeel: &Evenkeel, target: &str) -> Response {
    let mut last = None;
    eventually("the response is kept", || {
        let response = evenkeel.get(target);
        let hit = is_hit(&response);
        last = Some(response);
        hit
    });
    last.unwrap()
}

/// Sends the request from `count` clients at the same time, each over a connection of its own; their connections, on which
/// the responses arrive.
pub fn crowd(evenkeel: &Evenkeel, count: usize, request: &str) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(|_| evenkeel.client()).collect();
    clients.iter_mut().for_each(|client| assert!(client.send(request)));
    clients
}

/// What all of a crowd get, each read by a thread of its own.
pub fn answers(clients: Vec<Client>) -> Vec<Response> {
    let readers: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            thread::spawn(move || {
                client.patience(DEADLINE);
                client.answer("GET")
            })
        })
        .collect();
    readers.into_iter().map(|reader| reader.join().unwrap()).collect()
}

/// Waits until so many requests are being handled.
pub fn wait_for_requests(evenkeel: &Evenkeel, count: usize) {
    eventually("the requests are being handled", || {
        evenkeel.metric("evenkeel_requests_in_flight", &[]) as usize == count
    });
}
