//! Clients that show certificates, and those who only say that they are somebody.

use crate::support::tls::Issued;
use crate::support::{Authority, Client, Evenkeel, Folder, Origin, TlsClient, pool};

const NAME: &str = "shop.example.com";
const SUBJECT: &str = "x-client-cert-subject";

struct Setting {
    authority: Authority,
    alice: Issued,
    origin: Origin,
    evenkeel: Evenkeel,
}

/// A listener with TLS that asks for certificates, and one in clear, in front of the same server.
fn setting(auth: &str) -> Setting {
    let (folder, authority, origin) = (Folder::new(), Authority::new(), Origin::named("a"));
    let entry = authority.issue(&[NAME]).write(&folder, "shop");
    let ca = authority.write(&folder, "ca.pem");
    let alice = authority.issue_with(&[], |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "alice");
    });
    let evenkeel = Evenkeel::start(&format!(
        "[listener.clear]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n\
         [listener.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n[listener.web.tls]\n\
         certificates = [{entry}]\nclient_ca = \"{ca}\"\n{auth}\n{}",
        pool(&[&origin], "")
    ));
    Setting { authority, alice, origin, evenkeel }
}

/// What the server is told, by whoever claims to be the boss as well.
fn told(setting: &Setting, client: &mut Client) -> Vec<String> {
    let forged = "x-client-cert-subject: CN=boss\r\nX_Client_Cert_Subject: CN=boss\r\n";
    assert_eq!(client.ask(format!("GET / HTTP/1.1\r\nhost: {NAME}\r\n{forged}\r\n")).status, 200);
    let last = setting.origin.last();
    assert!(last.headers("x_client_cert_subject").is_empty(), "{last:?}");
    last.headers(SUBJECT).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_client_with_a_certificate_is_named_to_the_server_and_no_other_can_forge_that() {
    let setting = setting("");
    let web = setting.evenkeel.listener("web");
    let alice = TlsClient::new(&setting.authority).showing(&setting.alice);
    let subjects = told(&setting, &mut alice.connect(web, NAME).unwrap());
    assert!(subjects.len() == 1 && subjects[0].contains("CN=alice"), "{subjects:?}");
    // A resumed session is still hers.
    let subjects = told(&setting, &mut alice.connect(web, NAME).unwrap());
    assert!(subjects.len() == 1 && subjects[0].contains("CN=alice"), "{subjects:?}");

    let clear = &mut Client::connect(setting.evenkeel.listener("clear"));
    assert_eq!(told(&setting, clear), [""; 0]);
}

#[test]
fn no_spelling_of_the_subjects_name_can_be_forged() {
    // Dashes and underscores are one to many servers, whichever of them the configuration has.
    const SPELLINGS: [&str; 4] = ["x-cert-sub", "x_cert_sub", "X-Cert_Sub", "x_CERT-sub"];
    for configured in SPELLINGS {
        let setting =
            setting(&format!("client_auth = \"optional\"\nclient_subject_header = \"{configured}\""));
        let anybody = TlsClient::new(&setting.authority);
        let alice = anybody.clone().showing(&setting.alice);
        for (client, is_alice) in [(anybody, false), (alice, true)] {
            let forged: String = SPELLINGS.map(|name| format!("{name}: CN=boss\r\n")).concat();
            let mut connection = client.connect(setting.evenkeel.listener("web"), NAME).unwrap();
            connection.ask(format!("GET / HTTP/1.1\r\nhost: {NAME}\r\n{forged}\r\n"));
            let last = setting.origin.last();
            let told: Vec<_> =
                last.fields.iter().filter(|(name, _)| name.to_lowercase().ends_with("sub")).collect();
            assert_eq!(told.len(), usize::from(is_alice), "{configured}: {told:?}");
            assert!(told.iter().all(|(_, value)| value.contains("CN=alice")), "{configured}: {told:?}");
        }
    }
}

#[test]
fn no_client_gets_in_without_a_certificate_unless_that_is_allowed() {
    let strict = setting("");
    let stranger = Authority::new();
    let mallory = stranger.issue(&["mallory"]);
    for client in [TlsClient::new(&strict.authority), TlsClient::new(&strict.authority).showing(&mallory)] {
        if let Ok(mut connection) = client.connect(strict.evenkeel.listener("web"), NAME) {
            connection.send(format!("GET / HTTP/1.1\r\nhost: {NAME}\r\n\r\n"));
            assert!(connection.response("GET").is_err());
        }
    }
    assert_eq!(strict.origin.count(), 0);

    let open = setting("client_auth = \"optional\"");
    let anybody = TlsClient::new(&open.authority);
    let mut connection = anybody.connect(open.evenkeel.listener("web"), NAME).unwrap();
    assert_eq!(told(&open, &mut connection), [""; 0]);
}
