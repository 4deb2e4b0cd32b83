//! Free ports of this machine, the same ones again for the next start.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt};

/// A port of 127.0.0.1 that no other program is given, as long as this value lives, even while nothing listens on it.
///
/// A socket is bound to it and does not listen. A program may listen on the same port with `SO_REUSEADDR`, as servers do.
#[derive(Debug)]
pub struct Port {
    _reservation: OwnedFd,
    number: u16,
}

impl Port {
    /// Takes a free port.
    ///
    /// # Errors
    /// The machine has no free port or descriptor.
    pub fn reserve() -> io::Result<Self> {
        Self::reserve_this(0)
    }

    /// Takes this port, or a free one for 0.
    ///
    /// # Errors
    /// Another program has it.
    fn reserve_this(number: u16) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, number))?;
        let address: SocketAddr = getsockname(&socket)?.try_into()?;
        Ok(Self { _reservation: socket, number: address.port() })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

/// The ports of a state directory, by the names of what listens on them. A file keeps them for the next start.
#[derive(Debug)]
pub struct Ports {
    file: PathBuf,
    taken: Mutex<BTreeMap<String, Port>>,
}

impl Ports {
    /// The ports whose numbers are kept in `file`. Those that another program has taken meanwhile get new numbers.
    pub fn open(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let numbers = lines.filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?)));
        let reserved = numbers.filter_map(|(name, number)| Some((name, Port::reserve_this(number).ok()?)));
        Self { file: file.to_owned(), taken: Mutex::new(reserved.collect()) }
    }

    /// The port of this name: the same one each time.
    ///
    /// # Errors
    /// There is no free port, or the file cannot be written.
    pub fn port(&self, name: &str) -> io::Result<u16> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(port) = taken.get(name) {
            return Ok(port.number);
        }
        let port = Port::reserve()?;
        let number = port.number;
        taken.insert(name.to_owned(), port);
        let lines: String = taken.iter().map(|(name, port)| format!("{name} {}\n", port.number)).collect();
        fs::write(&self.file, lines)?;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_stays_taken_for_others_and_free_for_its_server() {
        let port = Port::reserve().unwrap();
        // The standard library sets SO_REUSEADDR, as servers do.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).unwrap();
        drop(listener);
        TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).unwrap();
        assert_ne!(Port::reserve().unwrap().number(), port.number());
    }

    #[test]
    fn the_next_start_gets_the_same_ports() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ports");
        let ports = Ports::open(&file);
        let numbers = [ports.port("a").unwrap(), ports.port("b").unwrap()];
        assert_eq!(ports.port("a").unwrap(), numbers[0]);
        drop(ports);
        // Another program takes the second one.
        let _other = TcpListener::bind((Ipv4Addr::LOCALHOST, numbers[1])).unwrap();
        let again = Ports::open(&file);
        assert_eq!(again.port("a").unwrap(), numbers[0]);
        assert_ne!(again.port("b").unwrap(), numbers[1]);
    }
}
