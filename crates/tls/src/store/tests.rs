//! The choice by name and by signature, against a naive search through the list.
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use evenkeel_config::CertificateFiles;
use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;

use super::*;
use crate::crypto;
use crate::names::Names;

const ECDSA: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
const RSA: SignatureScheme = SignatureScheme::RSA_PSS_SHA256;

/// An ECDSA key and an RSA key.
static KEYS: LazyLock<[Arc<CertifiedKey>; 2]> = LazyLock::new(|| {
    [&PKCS_ECDSA_P256_SHA256, &PKCS_RSA_SHA256].map(|kind| {
        let der = KeyPair::generate_for(kind).unwrap().serialize_der();
        let der = PrivateKeyDer::try_from(der).unwrap();
        let key = crypto::provider().key_provider.load_private_key(der).unwrap();
        Arc::new(CertifiedKey::new(Vec::new(), key))
    })
});

/// A certificate with this `id`.
fn certificate(id: usize, names: &[&str], is_rsa: bool) -> Arc<Certificate> {
    Arc::new(Certificate {
        files: CertificateFiles { cert: id.to_string().into(), key: "".into(), ocsp: None },
        key: KEYS[usize::from(is_rsa)].clone(),
        names: Names::from_list(names),
        not_before_s: 0,
        not_after_s: 0,
        staple_until_s: None,
        staple_fault: None,
    })
}

fn chosen(store: &Store, sni: Option<&str>, schemes: &[SignatureScheme]) -> usize {
    store.choose(sni, schemes).files.cert.to_str().unwrap().parse().unwrap()
}

#[test]
fn a_name_and_the_signatures_choose() {
    let store = Store::new(&[
        certificate(0, &["default.example"], true),
        certificate(1, &["shop.example", "www.shop.example"], true),
        certificate(2, &["shop.example"], false),
        certificate(3, &["*.shop.example"], false),
        certificate(4, &["*.shop.example", "only.example"], true),
        certificate(5, &["default.example"], false),
        certificate(6, &["shop.example"], false),
    ]);
    let check = |sni: Option<&str>, schemes: &[SignatureScheme], expected| {
        assert_eq!(chosen(&store, sni, schemes), expected, "{sni:?} {schemes:?}");
    };
    check(Some("shop.example"), &[RSA, ECDSA], 2);
    check(Some("shop.example"), &[RSA], 1);
    check(Some("www.shop.example"), &[RSA, ECDSA], 1);
    check(Some("api.shop.example"), &[RSA, ECDSA], 3);
    check(Some("api.shop.example"), &[RSA], 4);
    check(Some("a.b.shop.example"), &[RSA, ECDSA], 5);
    check(Some("only.example"), &[ECDSA], 4);
    check(Some("unknown.example"), &[RSA, ECDSA], 5);
    check(None, &[RSA, ECDSA], 5);
    check(None, &[RSA], 0);
    check(None, &[], 5);
}

/// The list, searched from its first entry to its last for each rule in turn.
fn naive(list: &[(Vec<&str>, bool)], sni: &str, has_ecdsa: bool) -> usize {
    let search = |fits: &dyn Fn(&[&str]) -> bool| -> Option<usize> {
        let mut found: Vec<usize> = (0..list.len()).filter(|&at| fits(&list[at].0)).collect();
        found.sort_by_key(|&at| list[at].1);
        let usable = found.iter().find(|&&at| list[at].1 || has_ecdsa);
        usable.or_else(|| found.first()).copied()
    };
    let wildcard = sni.split_once('.').map(|(_, rest)| format!("*.{rest}")).unwrap_or_default();
    let same_as_first = |names: &[&str]| Names::from_list(names) == Names::from_list(&list[0].0);
    search(&|names| names.contains(&sni))
        .or_else(|| search(&|names| names.contains(&&*wildcard)))
        .or_else(|| search(&same_as_first))
        .unwrap()
}

const NAMES: &[&str] = &["a", "a.x", "b.x", "*.x", "a.b.x", "*.b.x", "c.y"];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_finds_what_a_search_finds(
        list in prop::collection::vec(
            (prop::collection::vec(prop::sample::select(NAMES), 0..4), any::<bool>()), 1..6),
        sni in prop::sample::select(&["a", "a.x", "b.x", "c.x", "a.b.x", "c.b.x", "c.y", "z"][..]),
        has_ecdsa in any::<bool>(),
    ) {
        let certificates: Vec<_> =
            list.iter().enumerate().map(|(at, (names, is_rsa))| certificate(at, names, *is_rsa)).collect();
        let schemes = if has_ecdsa { &[RSA, ECDSA][..] } else { &[RSA][..] };
        let seen = chosen(&Store::new(&certificates), Some(sni), schemes);
        prop_assert_eq!(seen, naive(&list, sni, has_ecdsa));
    }
}
