//! The health protocol of gRPC (`grpc.health.v1`): its question, and what the answer says.

use bytes::Buf;
use evenkeel_core::health::ProbeFailure;

/// Bytes of an answer that are looked at; the one that is hoped for has seven.
pub const MESSAGE_MAX: usize = 1024;
/// What the health service is called.
pub const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
/// `ServingStatus.SERVING`.
const SERVING: u8 = 1;

/// `HealthCheckRequest { string service = 1; }`, framed; the name is at most 127 bytes long.
pub fn check_request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.extend([0x0a, service.len() as u8]);
        message.extend(service.bytes());
    }
    let mut framed = vec![0, 0, 0, 0, message.len() as u8];
    framed.append(&mut message);
    framed
}

/// Judges an answer by its message, and by the `grpc-status` of its trailers or of a head that is all of it.
///
/// # Errors
/// Why the server does not count as healthy.
pub fn judge(message: &[u8], status: Option<&[u8]>) -> Result<(), ProbeFailure> {
    match status {
        Some(b"0") if serving_status(message) == Some(SERVING) => Ok(()),
        Some(b"0") => Err(ProbeFailure::NotServing),
        Some(status) => Err(ProbeFailure::Grpc(String::from_utf8_lossy(status).into_owned())),
        None => Err(ProbeFailure::Malformed),
    }
}

/// Of `HealthCheckResponse { ServingStatus status = 1; }`, framed and not compressed; 0, unknown, is not written.
fn serving_status(mut framed: &[u8]) -> Option<u8> {
    if framed.remaining() < 5 || framed.get_u8() != 0 {
        return None;
    }
    let length = framed.get_u32() as usize;
    match framed.get(..length)? {
        [] => Some(0),
        [0x08, status] => Some(*status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_says_so_serves() {
        let message = |status: u8| [0, 0, 0, 0, 2, 0x08, status];
        assert_eq!(judge(&message(1), Some(b"0")), Ok(()));
        assert_eq!(judge(&message(2), Some(b"0")), Err(ProbeFailure::NotServing));
        assert_eq!(judge(&[0; 5], Some(b"0")), Err(ProbeFailure::NotServing));
        assert_eq!(judge(&message(1), Some(b"12")), Err(ProbeFailure::Grpc("12".into())));
        assert_eq!(judge(&message(1), None), Err(ProbeFailure::Malformed));
        assert_eq!(judge(&[1, 0, 0, 0, 2, 0x08, 1], Some(b"0")), Err(ProbeFailure::NotServing), "compressed");
    }

    #[test]
    fn a_service_is_asked_for_by_name_or_the_server_as_a_whole() {
        assert_eq!(check_request(""), [0, 0, 0, 0, 0]);
        assert_eq!(check_request("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
    }
}
