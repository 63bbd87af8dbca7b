//! Pseudo-terminals, raw and without echo.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use nix::libc;
use nix::pty::{PtyMaster, grantpt, posix_openpt, unlockpt};
use nix::sys::termios::{
    ControlFlags, InputFlags, LocalFlags, OutputFlags, SetArg, SpecialCharacterIndices, tcgetattr, tcsetattr,
};

/// Opens a pseudo-terminal: master, then slave; both close-on-exec, raw and with echo off, so that
/// frames pass unchanged and a password that is written early is not shown back to us.
///
/// It goes through the multiplexer step by step rather than by `openpty`, which fails where its
/// set-uid helper is missing and whose descriptors are not close-on-exec at birth.
///
/// # Errors
/// What the system reports, such as no terminals left.
pub fn open_pty() -> io::Result<(OwnedFd, OwnedFd)> {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
    // EPERM and EACCES come from mounts where the node has the right owner already.
    let _ = grantpt(&master);
    unlockpt(&master)?;
    let slave: OwnedFd = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(slave_name(&master)?)?
        .into();
    // SAFETY: `into_raw_fd` has given up its ownership of this descriptor to us.
    let master = unsafe { OwnedFd::from_raw_fd(master.into_raw_fd()) };
    #[cfg(not(any(target_os = "solaris", target_os = "illumos")))]
    make_raw(master.as_fd())?;
    make_raw(slave.as_fd())?;
    Ok((master, slave))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn slave_name(master: &PtyMaster) -> io::Result<String> {
    Ok(nix::pty::ptsname_r(master)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn slave_name(master: &PtyMaster) -> io::Result<String> {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // SAFETY: ptsname(3) returns a static buffer; nobody in this crate calls it without the lock
    // above, and the text is copied before the lock is given back.
    Ok(unsafe { nix::pty::ptsname(master) }?)
}

fn make_raw(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut tty = tcgetattr(fd)?;
    tty.input_flags.remove(
        InputFlags::IMAXBEL
            | InputFlags::IXOFF
            | InputFlags::INPCK
            | InputFlags::BRKINT
            | InputFlags::PARMRK
            | InputFlags::ISTRIP
            | InputFlags::INLCR
            | InputFlags::ICRNL
            | InputFlags::IXON
            | InputFlags::IGNPAR
            | InputFlags::IGNBRK,
    );
    tty.output_flags.remove(OutputFlags::OPOST);
    tty.local_flags.remove(
        LocalFlags::ECHO
            | LocalFlags::ECHOE
            | LocalFlags::ECHOK
            | LocalFlags::ECHONL
            | LocalFlags::ICANON
            | LocalFlags::ISIG
            | LocalFlags::IEXTEN
            | LocalFlags::NOFLSH
            | LocalFlags::TOSTOP
            | LocalFlags::PENDIN,
    );
    tty.control_flags.remove(ControlFlags::CSIZE | ControlFlags::PARENB);
    tty.control_flags.insert(ControlFlags::CS8 | ControlFlags::CREAD);
    // Without ICANON these two decide when a read returns: with the first byte.
    tty.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
    tty.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
    tcsetattr(fd, SetArg::TCSAFLUSH, &tty)?;
    Ok(())
}
