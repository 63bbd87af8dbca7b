//! The user at the other end of a unix socket.

use std::io;
use std::os::unix::net::UnixStream;

use nix::unistd::Uid;

/// The user at the other end, from the kernel.
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

/// Whether a process of this user is accepted. Root and our own user are: they could do all that this
/// process can anyway.
pub(super) fn is_permitted(uid: Uid) -> bool {
    uid.is_root() || uid == Uid::effective()
}
