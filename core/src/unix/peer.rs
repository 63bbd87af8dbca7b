//! Who is at the other end of a unix socket.

use std::io;
use std::os::unix::net::UnixStream;

use nix::unistd::Uid;

/// The user at the other end, as the kernel knows it.
///
/// # Errors
/// What the kernel reports.
pub(super) fn uid(stream: &UnixStream) -> io::Result<Uid> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let peer = nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::PeerCredentials)?;
        Ok(Uid::from_raw(peer.uid()))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        Ok(nix::unistd::getpeereid(stream)?.0)
    }
}

/// Whether a process of this user may share a tree with us: it could do all that we can anyway.
pub(super) fn is_one_of_us(uid: Uid) -> bool {
    uid.is_root() || uid == Uid::effective()
}
