//! Copies for servers that speak HTTP/2.

use super::copies::{mirrored, outcome};
use crate::support::h2::balancer;
use crate::support::{Evenkeel, Origin, eventually, ok};

#[test]
fn a_mirror_may_speak_http2() {
    let (origin, behind) = (Origin::answering(|request| ok(&request.body.text())), Origin::named("shadow"));
    // What speaks HTTP/2 here is a balancer as well.
    let shadow = balancer(&behind, "");
    let toml = mirrored("", &origin, &behind, "protocol = \"http2\"");
    let toml = toml.replace(&behind.address().to_string(), &shadow.address().to_string());
    let evenkeel = Evenkeel::start(&toml);
    let mut client = evenkeel.client();
    for (count, body) in ["", "hello", ""].iter().enumerate() {
        let length = body.len();
        let request = format!("POST /x?y HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n{body}");
        assert_eq!(client.ask(request).text(), *body);
        eventually("the copy came", || behind.count() > count);
        let copy = behind.last();
        assert_eq!((copy.method(), copy.target(), copy.body.text().as_str()), ("POST", "/x?y", *body));
    }
    eventually("all are counted", || outcome(&evenkeel, "sent") == 3.0);
}
