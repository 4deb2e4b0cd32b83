//! What a person sees on the screen and in the picture, and what the servers and the clients do.
#![allow(clippy::unwrap_used)]
