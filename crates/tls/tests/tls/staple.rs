//! OCSP responses that are sent along.

use evenkeel_config::{CertificateFiles, Severity, load};
use evenkeel_tls::{Change, Reason, ServerTls, TlsError, check};
use x509_parser::time::ASN1Time;

use crate::fixture::{Authority, Folder, refreshed, server, write};
use crate::handshake::{all_schemes, connect, lenient};

const SERIAL: [u8; 2] = [0x10, 0x01];
const GOOD: &[u8] = &[0x80, 0];
const REVOKED: &[u8] = &[
    0xa1, 0x11, 0x18, 0x0f, b'2', b'0', b'2', b'4', b'0', b'1', b'0', b'1', b'0', b'0', b'0', b'0', b'0',
    b'0', b'Z',
];

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    let head = match length {
        0..128 => vec![tag, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [head, content].concat()
}

/// A response (RFC 6960, 4.2.1) about one certificate, with a signature that cannot be verified.
fn response(serial: &[u8], status: &[u8], next_update: Option<&str>) -> Vec<u8> {
    let time = |text: &str| der(0x18, &[text.as_bytes()]);
    let algorithm = der(0x30, &[&der(0x06, &[&[0x2b, 0x0e, 0x03, 0x02, 0x1a]])]);
    let hash = der(0x04, &[&[7; 20]]);
    let id = der(0x30, &[&algorithm, &hash, &hash, &der(0x02, &[serial])]);
    let next = next_update.map(|text| der(0xa0, &[&time(text)])).unwrap_or_default();
    let single = der(0x30, &[&id, status, &time("20240101000000Z"), &next]);
    let other = der(0x30, &[&algorithm, &hash, &hash, &der(0x02, &[&[0x55]])]);
    let other = der(0x30, &[&other, GOOD, &time("20240101000000Z")]);
    let responder = der(0xa2, &[&hash]);
    let data = der(0x30, &[&responder, &time("20240101000000Z"), &der(0x30, &[&other, &single])]);
    let basic = der(0x30, &[&data, &algorithm, &der(0x03, &[&[0; 9]])]);
    let kind = der(0x06, &[&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01]]);
    der(0x30, &[&der(0x0a, &[&[0]]), &der(0xa0, &[&der(0x30, &[&kind, &der(0x04, &[&basic])])])])
}

fn files(folder: &Folder, response: &[u8]) -> CertificateFiles {
    let issued = Authority::new("A").issue_with(&["a.example"], false, |params| {
        params.serial_number = Some(SERIAL.to_vec().into());
    });
    let ocsp = Some(folder.write("a.ocsp", response));
    CertificateFiles { ocsp, ..write(folder, "a", &issued) }
}

fn stapled(server: &ServerTls) -> Vec<u8> {
    let (client, seen) = lenient(rustls::ALL_VERSIONS, &all_schemes());
    connect(&client, server, "a.example").unwrap();
    let stapled = seen.stapled.lock().unwrap();
    stapled.clone()
}

#[test]
fn a_response_is_stapled_and_read_again() {
    let folder = Folder::new();
    let first = response(&SERIAL, GOOD, Some("20990101000000Z"));
    let files = files(&folder, &first);
    let server = server(vec![files.clone()]);
    assert_eq!(stapled(&server), first);
    let second = response(&SERIAL, GOOD, None);
    folder.write("a.ocsp", &second);
    assert_eq!(refreshed(|| server.refresh()), [Change::Replaced(files.cert)]);
    assert_eq!(stapled(&server), second);
}

/// What is reported of a response that is not sent.
fn not_stapled(files: &CertificateFiles, why: &'static str) -> Change {
    let path = files.ocsp.clone().unwrap();
    Change::NotStapled(TlsError::File { path, reason: Reason::BadOcsp(why) })
}

#[test]
fn a_response_runs_out_while_it_is_in_use() {
    let folder = Folder::new();
    let soon_s = ASN1Time::now().timestamp() + 4;
    let bytes = response(&SERIAL, GOOD, Some(&generalized_time(soon_s)));
    let files = files(&folder, &bytes);
    let server = server(vec![files.clone()]);
    assert_eq!(stapled(&server), bytes);
    assert_eq!(refreshed(|| server.refresh()), [not_stapled(&files, "it has run out")]);
    assert!(stapled(&server).is_empty());
    assert_eq!(server.refresh(), []);
}

#[test]
fn a_broken_response_replaces_none_and_holds_no_new_certificate_back() {
    let folder = Folder::new();
    let good = response(&SERIAL, GOOD, None);
    let files = files(&folder, &good);
    let server = server(vec![files.clone()]);
    folder.write("a.ocsp", "nonsense");
    let changes = refreshed(|| server.refresh());
    assert!(matches!(&changes[..], [Change::Kept(TlsError::File { path, .. })] if path.ends_with("a.ocsp")));
    assert_eq!(stapled(&server), good);

    folder.write("a.ocsp", &good);
    refreshed(|| server.refresh());
    write(&folder, "a", &Authority::new("A").issue_with(&["a.example"], false, |_| {}));
    let changes = refreshed(|| server.refresh());
    let other = not_stapled(&files, "it is about another certificate");
    assert_eq!(changes, [Change::Replaced(files.cert), other]);
    assert!(stapled(&server).is_empty());
}

/// `20260102030405Z`
fn generalized_time(unix_s: i64) -> String {
    let time = ASN1Time::from_timestamp(unix_s).unwrap().to_datetime();
    let (date, clock) = (time.date(), time.time());
    let month = u8::from(date.month());
    let (hour, minute, second) = clock.as_hms();
    format!("{}{month:02}{:02}{hour:02}{minute:02}{second:02}Z", date.year(), date.day())
}

#[test]
fn what_would_do_harm_is_not_sent_and_check_says_so() {
    for (bytes, why) in [
        (response(&[0x77], GOOD, None), "it is about another certificate"),
        (response(&SERIAL, REVOKED, None), "it says that the certificate is revoked, or unknown"),
        (response(&SERIAL, &[0x82, 0], None), "it says that the certificate is revoked, or unknown"),
        (response(&SERIAL, GOOD, Some("20240102000000Z")), "it has run out"),
        (vec![0x30, 3, 0x0a, 1, 6], "the responder answered with an error"),
        (b"-----BEGIN OCSP RESPONSE-----\n".to_vec(), "it is not an OCSP response in DER"),
        (Vec::new(), "it is not an OCSP response in DER"),
    ] {
        let folder = Folder::new();
        assert!(stapled(&server(vec![files(&folder, &bytes)])).is_empty(), "{why}");
        let text = "[listener.web]\nbind = 80\npool = \"app\"\n[pool.app]\nbackends = [1]\n[listener.web.tls]\n\
                    certificates = { cert = \"a.pem\", key = \"a.key\", ocsp = \"a.ocsp\" }\n";
        let parsed = load(&folder.write("evenkeel.toml", text)).unwrap();
        let faults = check(&parsed.config);
        let warned = parsed.with_file_faults(&faults).unwrap().warnings;
        let seen: Vec<_> = warned.iter().map(|it| (it.severity(), it.line(), it.column())).collect();
        assert_eq!(seen, [(Severity::Warning, 7, 56)]);
        assert!(warned.iter().all(|warning| warning.message().ends_with(why)), "{warned}");
    }
}

#[test]
fn a_response_that_is_cut_off_anywhere_is_not_sent() {
    let whole = response(&SERIAL, GOOD, Some("20990101000000Z"));
    let folder = Folder::new();
    let files = files(&folder, &whole);
    assert!(!stapled(&server(vec![files.clone()])).is_empty());
    for end in 0..whole.len() {
        folder.write("a.ocsp", &whole[..end]);
        assert!(stapled(&server(vec![files.clone()])).is_empty(), "{end}");
    }
}
