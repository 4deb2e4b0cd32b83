//! Walks over what the file says and makes a [`Config`] of it, noting every fault instead of stopping at the first.

pub(crate) mod discovered;
pub(crate) mod fields;
pub(crate) mod forms;
pub(crate) mod host;
mod list;
mod reader;
mod table;
pub(crate) mod text;
mod value;

pub(crate) use reader::{FileLink, Home, Links, PoolLink, Reader, RouteLink};
pub(crate) use table::Table;
pub(crate) use text::clip;
pub(crate) use value::Value;
