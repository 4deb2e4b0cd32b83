//! Decoders, those of brotli and zstd not by the authors of our encoders; and texts to compress.

use std::io::Read;

use crate::support::{Client, Response, eventually};

/// The encodings, in the order in which they are chosen by default.
pub const ALL: [&str; 3] = ["zstd", "br", "gzip"];

/// GET of `target` until the response is compressed: on a busy machine the worker may be late for a while, and sends
/// responses as they are.
pub fn get_compressed(client: &mut Client, target: &str, fields: &str) -> Response {
    let mut last = None;
    eventually("the response is compressed", || {
        let response = client.get_with(target, fields);
        let is_compressed = response.header("content-encoding").is_some();
        last = Some(response);
        is_compressed
    });
    last.unwrap()
}

/// What `bytes` are compressed of; all of them must be one whole body.
#[track_caller]
pub fn decoded(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    decoder(encoding, bytes).read_to_end(&mut out).unwrap_or_else(|e| panic!("{encoding}: {e}"));
    out
}

/// What can be read of the beginning of a compressed body, up to a megabyte, and whether that is all of it.
pub fn begun(encoding: &str, bytes: &[u8]) -> (Vec<u8>, bool) {
    let (mut out, mut byte) = (Vec::new(), [0]);
    if encoding == "zstd" {
        return begun_zstd(bytes);
    }
    let mut decoder = decoder(encoding, bytes);
    loop {
        match decoder.read(&mut byte) {
            Ok(0) => return (out, true),
            Ok(_) => out.extend(byte),
            Err(_) => return (out, false),
        }
    }
}

fn decoder<'b>(encoding: &str, bytes: &'b [u8]) -> Box<dyn Read + 'b> {
    match encoding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        "br" => Box::new(brotli_decompressor::Decompressor::new(bytes, 4096)),
        "zstd" => Box::new(ruzstd::decoding::StreamingDecoder::new(bytes).expect("a frame of zstd")),
        other => panic!("no decoder of {other}"),
    }
}

/// That of `ruzstd` gives out nothing of the window before the end.
fn begun_zstd(bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(1 << 20);
    let mut input = zstd_safe::InBuffer::around(bytes);
    let left = zstd_safe::DCtx::create()
        .decompress_stream(&mut zstd_safe::OutBuffer::around(&mut out), &mut input)
        .expect("the beginning of a frame");
    (out, left == 0)
}

/// Text that can be compressed, of `len` bytes.
pub fn text(len: usize) -> String {
    let mut text = String::with_capacity(len + 64);
    for i in 0_u64.. {
        if text.len() >= len {
            break;
        }
        text.push_str(&format!(
            "<li class=\"item\">{} of {}</li>\n",
            i.wrapping_mul(2_654_435_761) % 99_991,
            i
        ));
    }
    text.truncate(len);
    text
}
