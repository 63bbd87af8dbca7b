//! The TCP connection to the host.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use mitogen_core::dialogue::{Failure, FailureKind, Stage};

use crate::failures::{failure, timeout};

/// The port of SSH servers, which names of contexts and of known hosts leave out.
pub(crate) const DEFAULT_PORT: u16 = 22;

/// Resolves `host` and connects to the first address that accepts.
pub(crate) fn connect(
    host: &str,
    port: u16,
    deadline: Instant,
    set_stage: impl Fn(Stage),
) -> Result<TcpStream, Failure> {
    set_stage(Stage::Resolve);
    let addresses: Vec<SocketAddr> =
        (host, port).to_socket_addrs().map(Iterator::collect).map_err(|error| {
            let message = format!("cannot resolve the host name {host}: {error}");
            failure(Stage::Resolve, FailureKind::NameNotResolved, message).with_hint("check `hostname`")
        })?;
    set_stage(Stage::Connect);
    let mut last = None;
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(timeout(Stage::Connect));
        }
        match TcpStream::connect_timeout(&address, left.max(Duration::from_millis(1))) {
            Ok(stream) => {
                // Small frames are sent at once. An error means a slower link, not a broken one.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = Some((address, error)),
        }
    }
    Err(match last {
        None => failure(
            Stage::Resolve,
            FailureKind::NameNotResolved,
            format!("the host name {host} has no address"),
        )
        .with_hint("check `hostname`"),
        Some((address, error)) => refused(address, &error),
    })
}

fn refused(address: SocketAddr, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => failure(
            Stage::Connect,
            FailureKind::ConnectionRefused,
            format!("connection to {address} refused"),
        )
        .with_hint("check that sshd is listening on that port"),
        io::ErrorKind::TimedOut => timeout(Stage::Connect),
        _ => failure(
            Stage::Connect,
            FailureKind::HostUnreachable,
            format!("cannot connect to {address}: {error}"),
        )
        .with_hint("check the address, the route and firewalls"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn failures_say_what_failed() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = connect("127.0.0.1", closed.port(), soon(), |_| ()).unwrap_err();
        assert_eq!((error.stage, error.kind), (Stage::Connect, FailureKind::ConnectionRefused), "{error}");
        let error = connect("name.invalid", 22, soon(), |_| ()).unwrap_err();
        assert_eq!((error.stage, error.kind), (Stage::Resolve, FailureKind::NameNotResolved), "{error}");
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listening.local_addr().unwrap().port();
        let error = connect("127.0.0.1", port, Instant::now(), |_| ()).unwrap_err();
        assert_eq!((error.stage, error.kind), (Stage::Connect, FailureKind::Timeout), "{error}");
        connect("127.0.0.1", port, soon(), |_| ()).unwrap();
    }
}
