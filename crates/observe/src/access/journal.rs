//! Lines as entries of systemd's journal, by its native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>): of a JSON line
//! each key becomes a field, so that `journalctl EVENKEEL_STATUS=502` finds it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use evenkeel_config::LogFormat;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::datagrams::Datagrams;
use super::patience::Patience;

/// Bytes of a field's name at most, as the journal takes them.
const NAME_MAX: usize = 64;

/// The journal.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) to: Datagrams,
    format: LogFormat,
    entry: Vec<u8>,
}

impl Journal {
    pub(super) fn new(to: Datagrams, format: LogFormat) -> Self {
        Self { to, format, entry: Vec::new() }
    }

    /// Sends one line, which has no end of line.
    ///
    /// # Errors
    /// It is lost.
    pub(super) fn send(&mut self, line: &[u8], patience: &mut Patience) -> io::Result<()> {
        self.entry.clear();
        self.entry.extend_from_slice(b"PRIORITY=6\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=evenkeel\n");
        match self.format {
            LogFormat::Json => of_json(&mut self.entry, line),
            LogFormat::Combined => field(&mut self.entry, b"MESSAGE", line),
        }
        match self.to.send(&self.entry, patience) {
            Err(error) if error.kind() == ErrorKind::InvalidInput => self.send_in_memory(),
            sent => sent,
        }
    }

    /// Sends an entry that is too long for a datagram as a sealed file in memory, whose descriptor the journal gets.
    fn send_in_memory(&mut self) -> io::Result<()> {
        let file = memfd_create("evenkeel-access", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC)?;
        let mut file = File::from(file);
        file.write_all(&self.entry)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [file.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(self.to.local()?, &[IoSlice::new(&[])], &mut control, SendFlags::empty())?;
        Ok(())
    }
}

/// The fields of a line of JSON, which is our own: one object of texts, numbers, words and `null`, nothing within another.
fn of_json(entry: &mut Vec<u8>, line: &[u8]) {
    let mut pairs = Pairs(line.strip_prefix(b"{").unwrap_or(line));
    let mut seen = Seen::default();
    while let Some((key, value)) = pairs.next_pair() {
        let Some(value) = value else { continue };
        let mut name = [0; NAME_MAX];
        let prefix = b"EVENKEEL_";
        let length = (prefix.len() + key.len()).min(NAME_MAX);
        name[..prefix.len()].copy_from_slice(prefix);
        name[prefix.len()..length].copy_from_slice(&key[..length - prefix.len()]);
        name.make_ascii_uppercase();
        field(entry, &name[..length], &value);
        seen.note(key, value);
    }
    field(entry, b"MESSAGE", &seen.message());
}

/// What the message of an entry is made of.
#[derive(Default)]
struct Seen<'a> {
    method: Cow<'a, [u8]>,
    protocol: Cow<'a, [u8]>,
    host: Cow<'a, [u8]>,
    target: Cow<'a, [u8]>,
    status: Cow<'a, [u8]>,
    duration_ms: Cow<'a, [u8]>,
    listener: Cow<'a, [u8]>,
    ended: Cow<'a, [u8]>,
}

impl<'a> Seen<'a> {
    fn note(&mut self, key: &[u8], value: Cow<'a, [u8]>) {
        let place = match key {
            b"method" => &mut self.method,
            b"protocol" => &mut self.protocol,
            b"host" => &mut self.host,
            b"target" => &mut self.target,
            b"status" => &mut self.status,
            b"duration_ms" => &mut self.duration_ms,
            b"listener" => &mut self.listener,
            b"ended" => &mut self.ended,
            _ => return,
        };
        *place = value;
    }

    /// `GET shop.example.com/cart 200 in 1.234 ms`, or `tcp on postgres: closed after 3.000 ms`.
    fn message(&self) -> Vec<u8> {
        if self.protocol.is_empty() {
            let parts: [&[u8]; 9] = [
                &self.method,
                b" ",
                &self.host,
                &self.target,
                b" ",
                &self.status,
                b" in ",
                &self.duration_ms,
                b" ms",
            ];
            return parts.concat();
        }
        let parts: [&[u8]; 8] = [
            &self.protocol,
            b" on ",
            &self.listener,
            b": ",
            &self.ended,
            b" after ",
            &self.duration_ms,
            b" ms",
        ];
        parts.concat()
    }
}

/// A key, and its value unless that is `null`.
type Pair<'a> = (&'a [u8], Option<Cow<'a, [u8]>>);

/// The pairs that are left of an object.
struct Pairs<'a>(&'a [u8]);

impl<'a> Pairs<'a> {
    /// The next one; `None` at the end.
    fn next_pair(&mut self) -> Option<Pair<'a>> {
        let rest = self.0.strip_prefix(b"\"")?;
        let end = rest.iter().position(|byte| *byte == b'"')?;
        let (key, rest) = (&rest[..end], rest[end..].strip_prefix(b"\":")?);
        let (value, rest) = match rest.strip_prefix(b"\"") {
            Some(text) => {
                let (value, rest) = text_of(text)?;
                (Some(value), rest)
            }
            None => {
                let end = rest.iter().position(|byte| matches!(byte, b',' | b'}'))?;
                let bare = &rest[..end];
                ((bare != b"null").then_some(Cow::Borrowed(bare)), &rest[end..])
            }
        };
        self.0 = rest.get(1..)?;
        Some((key, value))
    }
}

/// The text up to its quote, and what follows that.
fn text_of(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let stop = text.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    if text[stop] == b'"' {
        return Some((Cow::Borrowed(&text[..stop]), &text[stop + 1..]));
    }
    let (mut out, mut rest) = (text[..stop].to_vec(), &text[stop..]);
    loop {
        match rest {
            [b'"', rest @ ..] => return Some((Cow::Owned(out), rest)),
            [b'\\', b'u', digits @ ..] => {
                let digits = std::str::from_utf8(digits.get(..4)?).ok()?;
                let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)
                    .unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[6..];
            }
            [b'\\', escaped, after @ ..] => {
                out.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                });
                rest = after;
            }
            [byte, after @ ..] => {
                out.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

/// Adds a field; one with an end of line in it has its length in front.
fn field(entry: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    entry.extend_from_slice(name);
    if value.contains(&b'\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entry(line: &str) -> String {
        let mut entry = Vec::new();
        of_json(&mut entry, line.as_bytes());
        String::from_utf8(entry).unwrap()
    }

    #[test]
    fn each_key_of_a_line_is_a_field() {
        let line = r#"{"method":"GET","host":"a.test","target":"/x","status":200,"route":null,"duration_ms":1.234,"trace_sampled":true}"#;
        let expected = "EVENKEEL_METHOD=GET\nEVENKEEL_HOST=a.test\nEVENKEEL_TARGET=/x\nEVENKEEL_STATUS=200\n\
             EVENKEEL_DURATION_MS=1.234\nEVENKEEL_TRACE_SAMPLED=true\nMESSAGE=GET a.test/x 200 in 1.234 ms\n";
        assert_eq!(entry(line), expected);
    }

    #[test]
    fn escapes_are_undone_and_no_value_makes_a_field_of_its_own() {
        let line = r#"{"user_agent":"a\"b\\c\u0001\nEVENKEEL_STATUS=999","status":200}"#;
        let value = "a\"b\\c\u{1}\nEVENKEEL_STATUS=999";
        let mut expected = b"EVENKEEL_USER_AGENT\n".to_vec();
        expected.extend((value.len() as u64).to_le_bytes());
        expected.extend(value.as_bytes());
        expected.extend(b"\nEVENKEEL_STATUS=200\n");
        let mut seen = Vec::new();
        of_json(&mut seen, line.as_bytes());
        assert!(seen.starts_with(&expected), "{}", String::from_utf8_lossy(&seen));
    }

    #[test]
    fn a_line_of_a_connection_has_a_message_of_its_own() {
        let line = r#"{"listener":"pg","protocol":"tcp","duration_ms":3.000,"ended":"closed"}"#;
        assert!(entry(line).ends_with("MESSAGE=tcp on pg: closed after 3.000 ms\n"));
    }

    #[test]
    fn what_is_cut_short_ends_the_fields_and_nothing_else() {
        let line = r#"{"method":"GET","target":"/x\n"#;
        for length in 0..line.len() {
            assert!(entry(&line[..length]).contains("MESSAGE="));
        }
    }

    /// What the journal does with a datagram that is empty and has a descriptor.
    #[test]
    fn what_is_too_long_for_a_datagram_goes_as_a_sealed_file() {
        use std::io::{IoSliceMut, Read, Seek};
        use std::os::unix::net::UnixDatagram;

        use rustix::fs::fcntl_get_seals;
        use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

        let path = std::env::temp_dir().join(format!("evenkeel-journal-{}", std::process::id()));
        let receiver = UnixDatagram::bind(&path).unwrap();
        let to = Datagrams::new(super::super::datagrams::Peer::Local(path.clone()));
        let mut journal = Journal::new(to, LogFormat::Combined);
        journal.entry = vec![b'a'; 1 << 20];
        journal.send_in_memory().unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        recvmsg(&receiver, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::empty()).unwrap();
        let mut descriptors = control.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<_>>(),
            _ => Vec::new(),
        });
        let mut file = File::from(descriptors.next().unwrap());
        assert!(fcntl_get_seals(&file).unwrap().contains(SealFlags::WRITE | SealFlags::SEAL));
        let mut entry = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut entry).unwrap();
        assert_eq!(entry.len(), 1 << 20);
        std::fs::remove_file(path).unwrap();
    }
}
