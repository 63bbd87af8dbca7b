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

/// Opens a pseudo-terminal and returns its master and slave descriptors. Both are close-on-exec, raw and without
/// echo, so that frames pass unchanged and a password that is written early is not echoed.
///
/// It does not use `openpty`, which fails where its setuid helper is missing and whose descriptors are not created
/// close-on-exec.
///
/// # Errors
/// The error of the system call, for example when all terminals are in use.
pub fn open_pty() -> io::Result<(OwnedFd, OwnedFd)> {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
    // It fails with EPERM or EACCES on mounts where the device already has the right owner.
    let _ = grantpt(&master);
    unlockpt(&master)?;
    let slave: OwnedFd = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(slave_name(&master)?)?
        .into();
    // SAFETY: `into_raw_fd` has given up the ownership of this descriptor.
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
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = LOCK.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // SAFETY: ptsname(3) returns a static buffer; this crate calls it only here, with the lock held, and copies
    // the text before it releases the lock.
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
    // Without ICANON these two make a read return with the first byte.
    tty.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
    tty.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
    tcsetattr(fd, SetArg::TCSAFLUSH, &tty)?;
    Ok(())
}
