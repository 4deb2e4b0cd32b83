//! What both sides tell each other of their limits (RFC 9113, 6.5.2; RFC 8441, 3; RFC 9218, 2.1).

use crate::error::{Code, ConnectionError, broken};
use crate::frame::MAX_31;

/// Identifiers of settings.
mod id {
    pub(super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(super) const ENABLE_PUSH: u16 = 2;
    pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(super) const MAX_FRAME_SIZE: u16 = 5;
    pub(super) const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub(super) const ENABLE_CONNECT_PROTOCOL: u16 = 8;
    pub(super) const NO_RFC7540_PRIORITIES: u16 = 9;
}

/// The window that both sides start with, in bytes.
pub(crate) const WINDOW: u32 = 65_535;
/// The smallest limit of a frame's payload, in bytes.
pub(crate) const FRAME_MIN: u32 = 16_384;
/// The largest limit of a frame's payload, in bytes.
const FRAME_MAX: u32 = (1 << 24) - 1;

/// The settings of one side, as far as the other acts on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The largest table that the other side's encoder may use, in bytes.
    pub header_table_size: u32,
    /// Streams that the other side may have open at a time.
    pub max_concurrent_streams: u32,
    /// Bytes that the other side may send on a new stream.
    pub initial_window_size: u32,
    /// Bytes of the largest payload that the other side may send in a frame.
    pub max_frame_size: u32,
    /// Bytes of the largest head that is accepted, by RFC 9113, 6.5.2; for information.
    pub max_header_list_size: u32,
    /// True if extended CONNECT may be used (RFC 8441).
    pub enable_connect_protocol: bool,
    /// True if the priorities of RFC 7540 are not used (RFC 9218).
    pub no_rfc7540_priorities: bool,
}

impl Default for Settings {
    /// Those that hold until others have come.
    fn default() -> Self {
        Self {
            header_table_size: 4096,
            max_concurrent_streams: u32::MAX,
            initial_window_size: WINDOW,
            max_frame_size: FRAME_MIN,
            max_header_list_size: u32::MAX,
            enable_connect_protocol: false,
            no_rfc7540_priorities: false,
        }
    }
}

/// The values of a frame that says how `settings` differ from the defaults; `is_client` adds that it takes no pushes.
pub(crate) fn to_values(settings: &Settings, is_client: bool) -> Vec<(u16, u32)> {
    let defaults = Settings::default();
    let s = settings;
    let all = [
        (id::HEADER_TABLE_SIZE, s.header_table_size, defaults.header_table_size),
        (id::ENABLE_PUSH, u32::from(!is_client), 1),
        (id::MAX_CONCURRENT_STREAMS, s.max_concurrent_streams, defaults.max_concurrent_streams),
        (id::INITIAL_WINDOW_SIZE, s.initial_window_size, defaults.initial_window_size),
        (id::MAX_FRAME_SIZE, s.max_frame_size, defaults.max_frame_size),
        (id::MAX_HEADER_LIST_SIZE, s.max_header_list_size, defaults.max_header_list_size),
        (id::ENABLE_CONNECT_PROTOCOL, u32::from(s.enable_connect_protocol), 0),
        (id::NO_RFC7540_PRIORITIES, u32::from(s.no_rfc7540_priorities), 0),
    ];
    all.into_iter().filter(|(_, value, default)| value != default).map(|(id, value, _)| (id, value)).collect()
}

/// Applies the payload of a SETTINGS frame, whose values count in their order; `is_server` says that the peer is one.
///
/// # Errors
/// A value is out of its range.
pub(crate) fn apply(payload: &[u8], is_server: bool, settings: &mut Settings) -> Result<(), ConnectionError> {
    let invalid = |reason| Err(broken(Code::PROTOCOL_ERROR, reason));
    let (values, _) = payload.as_chunks::<6>();
    for [a, b, value @ ..] in values {
        let value = u32::from_be_bytes(*value);
        match u16::from_be_bytes([*a, *b]) {
            id::HEADER_TABLE_SIZE => settings.header_table_size = value,
            id::ENABLE_PUSH if value > 1 => return invalid("SETTINGS_ENABLE_PUSH above 1"),
            id::ENABLE_PUSH if is_server && value == 1 => return invalid("SETTINGS_ENABLE_PUSH by a server"),
            id::MAX_CONCURRENT_STREAMS => settings.max_concurrent_streams = value,
            id::INITIAL_WINDOW_SIZE if value > MAX_31 => {
                let reason = "SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1";
                return Err(broken(Code::FLOW_CONTROL_ERROR, reason));
            }
            id::INITIAL_WINDOW_SIZE => settings.initial_window_size = value,
            id::MAX_FRAME_SIZE if !(FRAME_MIN..=FRAME_MAX).contains(&value) => {
                return invalid("SETTINGS_MAX_FRAME_SIZE out of range");
            }
            id::MAX_FRAME_SIZE => settings.max_frame_size = value,
            id::MAX_HEADER_LIST_SIZE => settings.max_header_list_size = value,
            id::ENABLE_CONNECT_PROTOCOL if value > 1 => {
                return invalid("SETTINGS_ENABLE_CONNECT_PROTOCOL above 1");
            }
            id::ENABLE_CONNECT_PROTOCOL if value == 0 && settings.enable_connect_protocol => {
                return invalid("SETTINGS_ENABLE_CONNECT_PROTOCOL taken back");
            }
            id::ENABLE_CONNECT_PROTOCOL => settings.enable_connect_protocol = value == 1,
            id::NO_RFC7540_PRIORITIES if value > 1 => {
                return invalid("SETTINGS_NO_RFC7540_PRIORITIES above 1");
            }
            id::NO_RFC7540_PRIORITIES => settings.no_rfc7540_priorities = value == 1,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(values: &[(u16, u32)]) -> Vec<u8> {
        values
            .iter()
            .flat_map(|(id, value)| [id.to_be_bytes().to_vec(), value.to_be_bytes().to_vec()])
            .flatten()
            .collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let settings = Settings {
            header_table_size: 1,
            max_concurrent_streams: 2,
            initial_window_size: 3,
            max_frame_size: 20_000,
            max_header_list_size: 5,
            enable_connect_protocol: true,
            no_rfc7540_priorities: true,
        };
        for is_client in [true, false] {
            let mut read = Settings::default();
            apply(&payload(&to_values(&settings, is_client)), !is_client, &mut read).unwrap();
            assert_eq!(read, settings);
        }
        assert!(to_values(&Settings::default(), false).is_empty());
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for (id, value, code) in [
            (2, 2, Code::PROTOCOL_ERROR),
            (4, 1 << 31, Code::FLOW_CONTROL_ERROR),
            (5, 16_383, Code::PROTOCOL_ERROR),
            (5, 1 << 24, Code::PROTOCOL_ERROR),
            (8, 2, Code::PROTOCOL_ERROR),
            (9, 2, Code::PROTOCOL_ERROR),
        ] {
            let error = apply(&payload(&[(id, value)]), false, &mut Settings::default()).unwrap_err();
            assert_eq!(error.code(), code, "{id}: {value}");
        }
        assert!(apply(&payload(&[(2, 1)]), true, &mut Settings::default()).is_err());
        assert!(apply(&payload(&[(0xff, 1)]), true, &mut Settings::default()).is_ok());
    }
}
