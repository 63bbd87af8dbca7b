//! Prompting for a secret on the terminal, without echo.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

use mitogen_core::dialogue::Secret;
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The terminal with echo off; dropping it restores the previous settings.
struct NoEcho {
    terminal: File,
    before: Termios,
}

impl NoEcho {
    fn new(terminal: File) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut settings = before.clone();
        // Without ISIG, Ctrl-C is read as a byte; as a signal it would end the process with echo still off.
        settings.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        settings.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        settings.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        tcsetattr(&terminal, SetArg::TCSAFLUSH, &settings)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing left to restore.
        let _ = tcsetattr(&self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}

/// Prompts on the controlling terminal.
pub(super) fn ask(question: &str) -> Result<Secret, String> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let terminal = terminal.map_err(|_| "there is no terminal to prompt on")?;
    let no_echo = NoEcho::new(terminal).map_err(|error| error.to_string())?;
    (&no_echo.terminal).write_all(format!("{question}: ").as_bytes()).map_err(|error| error.to_string())?;
    let answer = read_answer(&no_echo.terminal);
    let _ = (&no_echo.terminal).write_all(b"\n");
    answer
}

/// Reads a line byte by byte and handles the usual editing keys.
fn read_answer(input: impl Read) -> Result<Secret, String> {
    let mut typed = Zeroizing::new(Vec::with_capacity(256));
    // A buffer would consume input that was typed ahead for the next prompt.
    #[allow(clippy::unbuffered_bytes)]
    for byte in input.bytes() {
        match byte.map_err(|error| error.to_string())? {
            b'\r' | b'\n' => {
                let text = std::str::from_utf8(&typed).map_err(|_| "the answer is not UTF-8")?;
                return Ok(Secret::new(text));
            }
            3 | 28 => return Err("interrupted".to_owned()),
            4 if typed.is_empty() => return Err("no answer".to_owned()),
            4 => {}
            8 | 127 => {
                // All bytes of the last character.
                while typed.pop().is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) {}
            }
            21 => typed.clear(),
            byte => typed.push(byte),
        }
    }
    Err("no answer".to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use nix::pty::openpty;
    use nix::sys::termios::{LocalFlags, tcgetattr};

    use super::{NoEcho, read_answer};

    #[test]
    fn echo_is_off_during_the_prompt_and_restored_afterwards() {
        let pty = openpty(None, None).unwrap();
        let flags = || tcgetattr(&pty.slave).unwrap().local_flags;
        let before = flags();
        assert!(before.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG));
        let no_echo = NoEcho::new(File::from(pty.slave.try_clone().unwrap())).unwrap();
        assert!(!flags().intersects(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG));
        let mut keys = File::from(pty.master.try_clone().unwrap());
        keys.write_all(b"hunter2\r").unwrap();
        assert_eq!(read_answer(&no_echo.terminal).unwrap().expose(), "hunter2");
        keys.write_all(b"hun\x03").unwrap();
        assert_eq!(read_answer(&no_echo.terminal).unwrap_err(), "interrupted");
        drop(no_echo);
        assert_eq!(flags(), before);
    }

    #[test]
    fn editing_keys_work() {
        let table: &[(&[u8], Result<&str, &str>)] = &[
            (b"abc\nmore", Ok("abc")),
            (b"abc\r", Ok("abc")),
            (b"\n", Ok("")),
            (b"abx\x7fc\n", Ok("abc")),
            ("aé\x7f\x08\x7fb\n".as_bytes(), Ok("b")),
            (b"wrong\x15right\n", Ok("right")),
            (b"a\x04b\n", Ok("ab")),
            (b"\x04", Err("no answer")),
            (b"abc", Err("no answer")),
            (b"abc\x03", Err("interrupted")),
            (b"\xff\n", Err("the answer is not UTF-8")),
        ];
        for (typed, expected) in table {
            let answer = read_answer(*typed).map(|secret| secret.expose().to_owned());
            assert_eq!(answer.as_deref().map_err(String::as_str), *expected, "{typed:?}");
        }
    }
}
