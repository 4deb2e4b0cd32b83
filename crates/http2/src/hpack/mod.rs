//! HPACK (RFC 7541): a decoder that writes straight into a [`Head`](crate::Head), and an encoder that learns what repeats.

mod class;
mod decode;
mod encode;
mod huffman;
mod integer;
mod lines;
mod parts;
mod static_table;
mod table;

pub(crate) use class::{Class, is_token};
pub use decode::Decoder;
pub(crate) use decode::Written;
pub use encode::Encoder;
pub(crate) use static_table::Line;
