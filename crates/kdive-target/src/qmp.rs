//! QMP, the protocol by which QEMU is controlled: lines of JSON over a socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::{Error, Result};

/// A connection to a QEMU.
pub(crate) struct Qmp {
    /// The name of the socket, for messages.
    name: PathBuf,
    connection: Mutex<BufReader<UnixStream>>,
}

impl Qmp {
    const TIMEOUT: Duration = Duration::from_secs(30);
    const LONGEST_REPLY: u64 = 64 << 20;

    /// Connects to a Unix socket by its path, or to `HOST:PORT`.
    pub fn connect(address: &str) -> Result<Self> {
        let name = PathBuf::from(address);
        let socket = UnixStream::connect(address)
            .map(OwnedFd::from)
            .or_else(|error| {
                // What is no file may be a host and port.
                if name.exists() || !address.contains(':') {
                    return Err(error);
                }
                TcpStream::connect(address).map(OwnedFd::from)
            });
        let socket = socket.map_err(|source| Error::Io {
            path: name.clone(),
            source,
        })?;
        Self::new(socket, name)
    }

    /// Takes over a connected socket, of whatever kind it is.
    pub fn new(socket: OwnedFd, name: PathBuf) -> Result<Self> {
        let stream = UnixStream::from(socket);
        let qmp = Self {
            name,
            connection: Mutex::new(BufReader::new(stream)),
        };
        let timeouts = qmp.with_connection(|connection| {
            connection.get_ref().set_read_timeout(Some(Self::TIMEOUT))?;
            connection.get_ref().set_write_timeout(Some(Self::TIMEOUT))
        });
        timeouts.map_err(|source| qmp.failed(source))?;
        let greeting = qmp.with_connection(receive);
        let greeting = greeting.map_err(|source| qmp.failed(source))?;
        if greeting.get("QMP").is_none() {
            return Err(qmp.refused("it does not greet like QEMU's QMP"));
        }
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    fn with_connection<T>(&self, use_it: impl FnOnce(&mut BufReader<UnixStream>) -> T) -> T {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        use_it(&mut connection)
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Io {
            path: self.name.clone(),
            source,
        }
    }

    /// An error in what QEMU says.
    pub fn refused(&self, message: impl Into<String>) -> Error {
        Error::Format {
            path: self.name.clone(),
            message: message.into(),
        }
    }

    /// The name of the socket, for messages.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// The process at the other end, as far as the kernel knows.
    pub fn peer(&self) -> Option<u32> {
        let credentials = self.with_connection(|connection| {
            rustix::net::sockopt::socket_peercred(connection.get_ref())
        });
        u32::try_from(credentials.ok()?.pid.as_raw_nonzero().get()).ok()
    }

    /// Runs a command and returns its result.
    pub fn execute(&self, command: &str, arguments: &Value) -> Result<Value> {
        let request = json!({"execute": command, "arguments": arguments});
        let reply = self.with_connection(|connection| {
            connection
                .get_mut()
                .write_all(format!("{request}\n").as_bytes())?;
            loop {
                let reply = receive(connection)?;
                if reply.get("event").is_none() {
                    return Ok(reply);
                }
            }
        });
        let mut reply = reply.map_err(|source| self.failed(source))?;
        if let Some(result) = reply.get_mut("return") {
            return Ok(result.take());
        }
        let reason = reply["error"]["desc"].as_str().unwrap_or("no reason given");
        Err(self.refused(format!("QEMU refuses {command}: {reason}")))
    }

    /// Runs a command of the human monitor and returns what it prints.
    pub fn monitor(&self, command: &str) -> Result<String> {
        let arguments = json!({"command-line": command});
        let result = self.execute("human-monitor-command", &arguments)?;
        Ok(result.as_str().unwrap_or_default().to_owned())
    }
}

fn receive(connection: &mut BufReader<UnixStream>) -> std::io::Result<Value> {
    let mut line = Vec::new();
    connection
        .take(Qmp::LONGEST_REPLY)
        .read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}
