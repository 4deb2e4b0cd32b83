//! Sockets: listening, connecting, and byte streams that two halves of one task can share, datagrams in batches; files in memory that the
//! kernel sends. The only unsafe code.

mod connect;
mod datagram;
mod descriptors;
mod handover;
mod io;
mod listen;
mod memory;
mod memory_file;
mod options;
mod pipe;
mod priority;
pub mod proxy_protocol;
mod stream;
mod tls;

pub use datagram::{
    BATCH, DATAGRAM_MAX, DatagramSocket, Inbox, Message, Outbox, Readiness, Received, SEGMENTS_MAX,
    SessionSocket, is_own_address,
};
pub use descriptors::{files_max, for_file, is_exhausted};
pub use handover::{Carried, Channel, DESCRIPTORS_MAX, activated, replace_stderr, replace_stdout};
pub use io::{Io, Peer};
pub use listen::{
    Accepted, BindError, Detached, Holder, Inherited, Listening, Socket, bind, bind_alone, bind_beside,
    bind_datagrams, covers, holder, reserve,
};
pub use memory::give_back_memory;
pub use memory_file::MemoryFile;
pub use options::{Dial, ListenOptions, backlog_max};
pub use pipe::Pipe;
pub use priority::{let_others_go_first, lower_priority};
pub use tls::{Handshake, is_refused_handshake};
