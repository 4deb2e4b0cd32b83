//! Tests of body decoding.

use proptest::prelude::*;

use super::*;

/// Decodes `input` fed in pieces of `size`: the data, the trailers, and what was not used.
fn decode(framing: Framing, input: &[u8], size: usize) -> Result<(Vec<u8>, Vec<u8>, usize), Malformed> {
    let mut decoder = Decoder::new(framing, 1024);
    let mut data = Vec::new();
    let mut at = 0;
    while !decoder.is_done() && at < input.len() {
        let end = (at + size).min(input.len());
        match decoder.step(&input[at..end])? {
            Step::Data { start, end } => {
                data.extend_from_slice(&input[at + start..at + end]);
                at += end;
            }
            Step::More => at = end,
            Step::End(used) => at += used,
        }
    }
    decoder.finish()?;
    Ok((data, decoder.trailers().to_vec(), input.len() - at))
}

#[test]
fn lengths_and_closes_end_a_body() {
    assert_eq!(decode(Framing::Length(3), b"abcdef", 2), Ok((b"abc".into(), vec![], 3)));
    assert_eq!(decode(Framing::UntilClose, b"abc", 2), Ok((b"abc".into(), vec![], 0)));
    assert_eq!(decode(Framing::Empty, b"abc", 2), Ok((vec![], vec![], 3)));
    assert!(decode(Framing::Length(4), b"abc", 4).is_err());
}

#[test]
fn chunks_are_decoded_whatever_the_pieces() {
    let input = b"3\r\nabc\r\nA;x=\"y;\\\\\\\"\" ; z\t= 1;v\r\n0123456789\r\n0\r\nT: v\r\n\r\nnext";
    for size in 1..input.len() {
        let (data, trailers, left) = decode(Framing::Chunked, input, size).unwrap();
        assert_eq!(data, b"abc0123456789");
        assert_eq!(trailers, b"T: v\r\n\r\n");
        assert_eq!(left, 4);
    }
}

#[test]
fn tricks_with_chunks_are_refused() {
    for bad in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "3\rXabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "\r\n",
        ";a\r\n",
        "3_0\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "3;a\nabc\r\n0\r\n\r\n",
        "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "3;a\0\r\nabc\r\n0\r\n\r\n",
        "3;\r\nabc\r\n0\r\n\r\n",
        "3;a=\r\nabc\r\n0\r\n\r\n",
        "3;=a\r\nabc\r\n0\r\n\r\n",
        "3;a b\r\nabc\r\n0\r\n\r\n",
        "3;a=b c\r\nabc\r\n0\r\n\r\n",
        "3;a=\"b\r\nabc\r\n0\r\n\r\n",
        "3;a=\"b\"c\r\nabc\r\n0\r\n\r\n",
        "0\r\nT: v\n\r\n",
        "0\r\n\n",
        "0\r\n",
        "0\r\nT: v\r\n",
        "",
    ] {
        assert!(decode(Framing::Chunked, bad.as_bytes(), 100).is_err(), "{bad:?}");
    }
    let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(EXTENSIONS_MAX + 1));
    assert!(decode(Framing::Chunked, long.as_bytes(), 100).is_err());
    let long = format!("0\r\nT: {}\r\n\r\n", "x".repeat(1024));
    assert!(decode(Framing::Chunked, long.as_bytes(), 100).is_err());
}

proptest! {
    #[test]
    fn what_was_chunked_comes_out_again(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..10), size in 1_usize..60) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        let (data, trailers, left) = decode(Framing::Chunked, &wire, size).unwrap();
        prop_assert_eq!(data, chunks.concat());
        prop_assert!(trailers.is_empty());
        prop_assert_eq!(left, 0);
    }

    #[test]
    fn no_input_panics_or_depends_on_the_pieces(input in prop::collection::vec(prop::sample::select(b"0123aF;\r\n x:".to_vec()), 0..60), size in 1_usize..20) {
        let whole = decode(Framing::Chunked, &input, input.len().max(1));
        let pieces = decode(Framing::Chunked, &input, size);
        prop_assert_eq!(whole.is_ok(), pieces.is_ok());
        if let (Ok(whole), Ok(pieces)) = (whole, pieces) {
            prop_assert_eq!(whole, pieces);
        }
    }
}

#[test]
fn a_body_that_is_written_as_ours_can_be_passed_on_as_it_is() {
    for (body, data) in [
        ("0\r\n\r\n", Some(0)),
        ("3\r\nabc\r\n0\r\n\r\n", Some(3)),
        ("3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n", Some(19)),
        ("a\r\n0\r\n\r\n3\r\nab\r\n0\r\n\r\n", Some(10)),
        // Written in another way.
        ("03\r\nabc\r\n0\r\n\r\n", None),
        ("A\r\n0123456789\r\n0\r\n\r\n", None),
        ("3;x\r\nabc\r\n0\r\n\r\n", None),
        ("3\r\nabc\r\n00\r\n\r\n", None),
        ("3\r\nabc\r\n0;x\r\n\r\n", None),
        ("3\r\nabc\r\n0\r\nx: 1\r\n\r\n", None),
        // Not all of it, or more.
        ("", None),
        ("3\r\nab", None),
        ("3\r\nabc", None),
        ("3\r\nabc\r\n", None),
        ("3\r\nabc\r\n0\r\n", None),
        ("3\r\nabc\r\n0\r\n\r\nx", None),
        // Malformed.
        ("3\r\nabcd\r\n0\r\n\r\n", None),
        ("x\r\n", None),
        ("\r\n", None),
    ] {
        assert_eq!(data_as_written(body.as_bytes()), data, "{body:?}");
    }
}

#[test]
fn of_a_whole_body_its_data_can_be_kept() {
    for (body, data) in [
        ("0\r\n\r\n", ""),
        ("3\r\nabc\r\n0\r\n\r\n", "abc"),
        ("3\r\nabc\r\n10\r\n0123456789abcdef\r\n1\r\n\n\r\n0\r\n\r\n", "abc0123456789abcdef\n"),
        ("a\r\n0\r\n\r\n3\r\nab\r\n0\r\n\r\n", "0\r\n\r\n3\r\nab"),
    ] {
        assert_eq!(data_as_written(body.as_bytes()), Some(data.len() as u64), "{body:?}");
        let mut buf = format!("head{body}").into_bytes();
        keep_data(&mut buf, 4);
        assert_eq!(buf, format!("head{data}").into_bytes(), "{body:?}");
    }
}
