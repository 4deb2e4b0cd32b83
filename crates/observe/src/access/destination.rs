//! Where lines of the access log go, and how each destination takes them.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use evenkeel_config::{AccessLog, LogFormat};

use super::datagrams::{Datagrams, Peer};
use super::journal::Journal;
use super::patience::Patience;
use super::syslog::Syslog;

/// Where the lines go.
#[derive(Debug)]
pub(super) enum Output {
    /// To a file or a pipe, as they are.
    Stream(Stream),
    /// To a syslog daemon, each in a datagram.
    Syslog(Syslog),
    /// To systemd's journal, each in a datagram.
    Journal(Journal),
}

impl Output {
    /// Opens a destination; `None` when the log is off. A daemon need not be there yet.
    ///
    /// # Errors
    /// When a file cannot be opened or created.
    pub(super) fn open(to: &AccessLog, format: LogFormat) -> io::Result<Option<Self>> {
        Ok(Some(match to {
            AccessLog::Off => return Ok(None),
            AccessLog::Stdout => Self::Stream(Stream::stdout()?),
            AccessLog::File(path) => Self::Stream(Stream::file(path)?),
            AccessLog::Syslog(path) => Self::Syslog(Syslog::new(Datagrams::new(Peer::Local(path.clone())))),
            AccessLog::SyslogUdp(host, port) => {
                Self::Syslog(Syslog::new(Datagrams::new(Peer::Udp(host.clone(), *port))))
            }
            AccessLog::Journal(path) => {
                Self::Journal(Journal::new(Datagrams::new(Peer::Local(path.clone())), format))
            }
        }))
    }

    #[cfg(test)]
    pub(super) fn descriptor(descriptor: impl Into<std::os::fd::OwnedFd>) -> Self {
        Self::Stream(Stream { file: descriptor.into().into(), path: None, torn: false })
    }
}

/// A file or a pipe.
#[derive(Debug)]
pub(super) struct Stream {
    file: File,
    /// For reopening; `None` for standard output.
    path: Option<PathBuf>,
    /// It ends within a line.
    torn: bool,
}

impl Stream {
    /// A file, appended to; created readable for owner and group, because it holds clients' addresses.
    fn file(path: &Path) -> io::Result<Self> {
        Ok(Self { file: open(path)?, path: Some(path.into()), torn: false })
    }

    /// Standard output, past the lock and the line buffer of `std::io::Stdout`.
    fn stdout() -> io::Result<Self> {
        Ok(Self { file: io::stdout().as_fd().try_clone_to_owned()?.into(), path: None, torn: false })
    }

    /// Opens the file anew by its name, if it has one; true if it did.
    ///
    /// # Errors
    /// It cannot be opened; the old one stays.
    pub(super) fn reopen(&mut self) -> Result<bool, (PathBuf, io::Error)> {
        let Some(path) = &self.path else { return Ok(false) };
        self.file = open(path).map_err(|error| (path.clone(), error))?;
        self.torn = false;
        Ok(true)
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// With what was not written.
    pub(super) fn write_all<'a>(
        &mut self,
        mut bytes: &'a [u8],
        patience: &mut Patience,
    ) -> Result<(), (&'a [u8], io::Error)> {
        if self.torn {
            self.file.write(b"\n").map_err(|error| (bytes, error))?;
            self.torn = false;
        }
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err((bytes, ErrorKind::WriteZero.into())),
                Ok(written) => {
                    self.torn = bytes[written - 1] != b'\n';
                    bytes = &bytes[written..];
                    patience.begin_anew();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && patience.wait() => {}
                Err(error) => return Err((bytes, error)),
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    // A FIFO opened for writing alone blocks until a reader opens it, which would keep the process from starting.
    let fifo = path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
    OpenOptions::new().append(true).create(true).read(fifo).mode(0o640).open(path)
}
