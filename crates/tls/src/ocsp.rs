//! As much of an OCSP response (RFC 6960) as it takes to know whether it may be stapled, and until when.

use std::path::Path;

use x509_parser::asn1_rs::{Any, FromDer, GeneralizedTime};

use crate::error::{Reason, TlsError};
use crate::file;

/// A response that says of a certificate that it is good.
pub(crate) struct Staple {
    pub(crate) der: Vec<u8>,
    /// `nextUpdate` in Unix seconds.
    pub(crate) until_s: Option<i64>,
}

/// Why a response is not sent any more.
pub(crate) const HAS_RUN_OUT: &str = "it has run out";

/// Reads a response about the certificate with this serial number that holds at `now_s` (Unix seconds). Its signature is the client's to check.
pub(crate) fn load(path: &Path, serial: &[u8], now_s: i64) -> Result<Staple, TlsError> {
    let der = file::read(path)?;
    match next_update(&der, serial) {
        Ok(Some(until_s)) if until_s <= now_s => Err(TlsError::file(path, Reason::BadOcsp(HAS_RUN_OUT))),
        Ok(until_s) => Ok(Staple { der, until_s }),
        Err(why) => Err(TlsError::file(path, Reason::BadOcsp(why))),
    }
}

type Read<T> = Result<T, &'static str>;

const MALFORMED: &str = "it is not an OCSP response in DER";

/// OCSPResponse ::= SEQUENCE { responseStatus, [0] SEQUENCE { responseType, OCTET STRING of BasicOCSPResponse } }
fn next_update(der: &[u8], serial: &[u8]) -> Read<Option<i64>> {
    let (mut response, _) = enter(der)?;
    if take(&mut response)?.data != [0] {
        return Err("the responder answered with an error");
    }
    let (explicit, _) = enter(response)?;
    let (mut bytes, _) = enter(explicit)?;
    take(&mut bytes)?;
    let (basic, _) = enter(bytes)?;
    let (basic, _) = enter(basic)?;
    let (data, _) = enter(basic)?;
    single_response(responses(data)?, serial)
}

/// ResponseData ::= SEQUENCE { [0] version OPTIONAL, responderID, producedAt, SEQUENCE OF SingleResponse, ... }
fn responses(mut data: &[u8]) -> Read<&[u8]> {
    if tag(data)? == 0 {
        take(&mut data)?;
    }
    take(&mut data)?;
    take(&mut data)?;
    Ok(enter(data)?.0)
}

/// SingleResponse ::= SEQUENCE { CertID, certStatus, thisUpdate, [0] nextUpdate OPTIONAL, ... }, where
/// CertID ::= SEQUENCE { hashAlgorithm, issuerNameHash, issuerKeyHash, serialNumber }
fn single_response(mut responses: &[u8], serial: &[u8]) -> Read<Option<i64>> {
    while !responses.is_empty() {
        let mut single = take(&mut responses)?.data;
        let mut id = take(&mut single)?.data;
        for _ in 0..3 {
            take(&mut id)?;
        }
        if take(&mut id)?.data != serial {
            continue;
        }
        if take(&mut single)?.tag().0 != 0 {
            return Err("it says that the certificate is revoked, or unknown");
        }
        take(&mut single)?;
        return match single.is_empty() {
            false if tag(single)? == 0 => {
                let (_, time) = GeneralizedTime::from_der(enter(single)?.0).map_err(|_| MALFORMED)?;
                let time = time.utc_datetime().map_err(|_| MALFORMED)?;
                Ok(Some(time.unix_timestamp()))
            }
            _ => Ok(None),
        };
    }
    Err("it is about another certificate")
}

/// The content of the element at the beginning, and what follows it.
fn enter(bytes: &[u8]) -> Read<(&[u8], &[u8])> {
    let (rest, element) = Any::from_der(bytes).map_err(|_| MALFORMED)?;
    Ok((element.data, rest))
}

/// The number of the tag at the beginning.
fn tag(mut bytes: &[u8]) -> Read<u32> {
    take(&mut bytes).map(|element| element.tag().0)
}

/// The element at the beginning, which is then behind us.
fn take<'a>(bytes: &mut &'a [u8]) -> Read<Any<'a>> {
    let (rest, element) = Any::from_der(bytes).map_err(|_| MALFORMED)?;
    *bytes = rest;
    Ok(element)
}
