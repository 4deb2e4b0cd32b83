//! The cases of the public conformance suite for HTTP/2 servers, strict ones included, by its numbers: what RFC 7540,
//! RFC 9113 and RFC 7541 demand.

mod connection;
mod flow;
mod framing;
mod generic;
mod generic_hpack;
mod hpack;
mod messages;
mod states;

use crate::support::h2::{Case, balancer, check, check_in_clear, origin};
use crate::support::{Authority, Folder, TlsClient};

/// All of them, a section a file.
const SECTIONS: [&[Case]; 8] = [
    generic::CASES,
    generic_hpack::CASES,
    framing::CASES,
    states::CASES,
    connection::CASES,
    flow::CASES,
    messages::CASES,
    hpack::CASES,
];

#[test]
fn no_case_is_missing() {
    let mut ids: Vec<&str> = SECTIONS.into_iter().flatten().map(|case| case.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 147);
}

#[test]
fn generic_what_every_server_accepts() {
    check_in_clear(generic::CASES);
}

#[test]
fn generic_5_every_way_to_write_a_field() {
    check_in_clear(generic_hpack::CASES);
}

#[test]
fn http2_3_and_4_preface_and_frame_format() {
    check_in_clear(framing::CASES);
}

#[test]
fn http2_5_streams() {
    check_in_clear(states::CASES);
}

#[test]
fn http2_6_frames() {
    check_in_clear(connection::CASES);
}

#[test]
fn http2_6_9_flow_control_and_continuation() {
    check_in_clear(flow::CASES);
}

#[test]
fn http2_7_and_8_messages() {
    check_in_clear(messages::CASES);
}

#[test]
fn hpack_field_blocks() {
    check_in_clear(hpack::CASES);
}

#[test]
fn all_of_them_over_tls() {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), origin());
    let certificate = authority.issue(&["test"]).write(&folder, "test");
    let evenkeel = balancer(&origin, &format!("tls = {{ certificates = [{certificate}] }}"));
    let client = TlsClient::new(&authority).offering(&["h2"]);
    for cases in SECTIONS {
        check(cases, || client.connect(evenkeel.address(), "test").unwrap());
    }
}
