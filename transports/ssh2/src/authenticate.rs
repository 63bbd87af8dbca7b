//! Authentication: keys of the agent and of files, then the password, each once.
//!
//! The order is that of the transport `ssh`. A method that was refused is not tried again. After each success or
//! refusal the host is asked which methods it wants now, so that a host which requires a key and a password gets both.

use std::path::Path;

use mitogen_core::dialogue::{Failure, FailureKind, Secret, Stage};
use mitogen_ssh::Options;
use ssh2::{KeyboardInteractivePrompt, Prompt, Session};

use crate::config::{Agent, Config};
use crate::failures::{code, code_of, failure, is_disconnect, is_timeout, step};

const STAGE: Stage = Stage::Authenticate;

/// Logs in.
pub(crate) fn authenticate(session: &Session, config: &Config, options: &Options) -> Result<(), Failure> {
    let mut attempt = Attempt { session, config, options, unusable: Vec::new() };
    let Some(mut methods) = attempt.methods()? else { return Ok(()) };
    if methods.has("publickey") {
        attempt.keys()?;
        match attempt.methods()? {
            None => return Ok(()),
            Some(left) => methods = left,
        }
    }
    let Some(password) = &options.password else { return Err(attempt.without_password(&methods)) };
    let mut answered = false;
    if methods.has("password") {
        answered = true;
        if attempt.password(password)? {
            match attempt.methods()? {
                None => return Ok(()),
                Some(left) => methods = left,
            }
        }
    }
    // A password that was refused is not sent again by the other method.
    if !answered && methods.has("keyboard-interactive") {
        answered = true;
        if attempt.answers(password)? && attempt.methods()?.is_none() {
            return Ok(());
        }
    }
    Err(if answered {
        failure(STAGE, FailureKind::PasswordIncorrect, "the host rejected the password")
            .with_hint("check `username` and `password`")
    } else {
        failure(STAGE, FailureKind::AuthenticationFailed, "the host does not accept passwords")
            .with_hint("use a key, or allow PasswordAuthentication on the host")
    })
}

/// The methods that a host offers.
struct Methods(String);

impl Methods {
    fn has(&self, name: &str) -> bool {
        self.0.split(',').any(|method| method == name)
    }
}

struct Attempt<'a> {
    session: &'a Session,
    config: &'a Config,
    options: &'a Options,
    /// Key files that could not be used, with the reason.
    unusable: Vec<String>,
}

impl Attempt<'_> {
    /// The methods that the host offers now; `None` if it has accepted the login.
    fn methods(&self) -> Result<Option<Methods>, Failure> {
        if self.session.authenticated() {
            return Ok(None);
        }
        match self.session.auth_methods(&self.config.user) {
            Ok(list) => Ok(Some(Methods(list.to_owned()))),
            Err(_) if self.session.authenticated() => Ok(None),
            Err(error) => Err(step(STAGE, &error)),
        }
    }

    /// Ends the login if an error is more than a refusal.
    fn refused(error: &ssh2::Error) -> Result<(), Failure> {
        if is_disconnect(error) || is_timeout(error) { Err(step(STAGE, error)) } else { Ok(()) }
    }

    fn keys(&mut self) -> Result<(), Failure> {
        if self.config.agent != Agent::None {
            self.agent_keys()?;
        }
        for file in &self.config.identities {
            if self.session.authenticated() {
                return Ok(());
            }
            if file.exists() {
                self.key_file(file)?;
            } else if self.options.identity_file.as_deref().map(Path::new) == Some(file) {
                self.unusable.push(format!("{} does not exist", file.display()));
            }
        }
        Ok(())
    }

    /// Offers the keys of the agent; with `IdentitiesOnly` those that belong to a key file.
    fn agent_keys(&self) -> Result<(), Failure> {
        let connected = || {
            let mut agent = self.session.agent()?;
            if let Agent::Socket(path) = &self.config.agent {
                agent.set_identity_path(path)?;
            }
            agent.connect()?;
            agent.list_identities()?;
            let keys = agent.identities()?;
            Ok::<_, ssh2::Error>((agent, keys))
        };
        let (agent, keys) = match connected() {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "no agent");
                return Ok(());
            }
        };
        let wanted: Vec<Vec<u8>> =
            self.config.identities.iter().filter_map(|file| public_key(file)).collect();
        for key in keys {
            if self.config.identities_only && !wanted.iter().any(|blob| blob == key.blob()) {
                continue;
            }
            match agent.userauth(&self.config.user, &key) {
                Ok(()) => return Ok(()),
                Err(error) => Self::refused(&error)?,
            }
        }
        Ok(())
    }

    fn key_file(&mut self, file: &Path) -> Result<(), Failure> {
        let passphrase = self.options.passphrase.as_ref().map(Secret::expose);
        match self.session.userauth_pubkey_file(&self.config.user, None, file, passphrase) {
            Ok(()) => Ok(()),
            Err(error) => {
                // The file cannot be read or decrypted; a key that the host refuses has another code.
                if code_of(&error) == code::FILE {
                    let why = if passphrase.is_some() {
                        "cannot be read or has another passphrase"
                    } else {
                        "cannot be read or needs a `passphrase`"
                    };
                    self.unusable.push(format!("{} {why}", file.display()));
                }
                Self::refused(&error)
            }
        }
    }

    /// Sends the password; whether the host accepted it.
    fn password(&self, password: &Secret) -> Result<bool, Failure> {
        match self.session.userauth_password(&self.config.user, password.expose()) {
            Ok(()) => Ok(true),
            Err(error) => Self::refused(&error).map(|()| false),
        }
    }

    /// Answers questions with the password; whether the host accepted it.
    fn answers(&self, password: &Secret) -> Result<bool, Failure> {
        let prompt = self.options.password_prompt.as_deref();
        let mut answers = Answers { password, prompt, sent: false, unknown: None };
        let result = self.session.userauth_keyboard_interactive(&self.config.user, &mut answers);
        match result {
            Ok(()) => Ok(true),
            Err(error) => {
                Self::refused(&error)?;
                match answers.unknown {
                    None => Ok(false),
                    Some(question) => Err(failure(
                        STAGE,
                        FailureKind::AuthenticationFailed,
                        format!("the host requires more than a password: it asks {question:?}"),
                    )
                    .with_hint("one-time codes and other challenges are not supported; use a key")),
                }
            }
        }
    }

    fn without_password(&self, methods: &Methods) -> Failure {
        let asks = methods.has("password") || methods.has("keyboard-interactive");
        let mut failure = if asks {
            failure(
                STAGE,
                FailureKind::PasswordRequired,
                "the host rejected all keys and requires a password",
            )
            .with_hint("set `password` or `identity_file`")
        } else {
            failure(STAGE, FailureKind::AuthenticationFailed, "the host rejected all keys")
                .with_hint("check `username` and `identity_file`, or ssh-add the key")
        };
        if !self.unusable.is_empty() {
            failure.message = format!("{} ({})", failure.message, self.unusable.join("; "));
        }
        failure
    }
}

/// The public key beside a key file, in the encoding of the protocol.
fn public_key(file: &Path) -> Option<Vec<u8>> {
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    let text = std::fs::read_to_string(name).ok()?;
    text.trim().parse::<ssh_key::PublicKey>().ok()?.to_bytes().ok()
}

/// The longest question that an error quotes, in characters.
const QUOTED: usize = 160;

/// Answers one hidden question for a password. Other questions get empty answers, and the login fails.
struct Answers<'a> {
    password: &'a Secret,
    /// The end of the question that asks for it, where no question names a password.
    prompt: Option<&'a str>,
    sent: bool,
    unknown: Option<String>,
}

impl KeyboardInteractivePrompt for Answers<'_> {
    fn prompt(&mut self, _username: &str, _instructions: &str, prompts: &[Prompt<'_>]) -> Vec<String> {
        prompts
            .iter()
            .map(|prompt| {
                let own = |wanted: &str| prompt.text.trim_end().ends_with(wanted.trim_end());
                let asked = self.prompt.map_or_else(|| is_for_password(&prompt.text), own);
                if !prompt.echo && !self.sent && asked {
                    self.sent = true;
                    // libssh2 wants a copy of its own.
                    return self.password.expose().to_owned();
                }
                // A question may repeat the answer to the one before.
                let masked = prompt.text.replace(self.password.expose(), "********");
                self.unknown.get_or_insert_with(|| masked.trim().chars().take(QUOTED).collect());
                String::new()
            })
            .collect()
    }
}

/// Whether the last line asks for a password: a code of another kind must not be answered with it.
fn is_for_password(text: &str) -> bool {
    let line = text.trim_end().lines().next_back().unwrap_or_default().to_lowercase();
    line.contains("password") && !line.contains("one-time") && !line.contains("new password")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(text: &'static str, echo: bool) -> Prompt<'static> {
        Prompt { text: text.into(), echo }
    }

    #[test]
    fn one_hidden_question_is_answered_and_others_are_not() {
        let password = Secret::new("opensesame");
        let mut answers = Answers { password: &password, prompt: None, sent: false, unknown: None };
        assert!(answers.prompt("anna", "welcome", &[]).is_empty());
        assert_eq!(answers.prompt("anna", "", &[prompt("Password: ", false)]), ["opensesame"]);
        assert_eq!(answers.unknown, None);
        assert_eq!(answers.prompt("anna", "", &[prompt("Code: ", false), prompt("Name: ", true)]), ["", ""]);
        assert_eq!(answers.unknown.as_deref(), Some("Code:"));
        // The password is not given to a question for something else, and not repeated in errors.
        let mut answers = Answers { password: &password, prompt: None, sent: false, unknown: None };
        assert_eq!(answers.prompt("anna", "", &[prompt("Verification code: ", false)]), [""]);
        let mut answers = Answers { password: &password, prompt: None, sent: true, unknown: None };
        answers.prompt("anna", "", &[prompt("Unknown code 'opensesame': ", false)]);
        assert_eq!(answers.unknown.as_deref(), Some("Unknown code '********':"));
        for text in ["Password: ", "anna's password:", "LDAP Password:", "Welcome\nPassword for anna@web: "] {
            assert!(is_for_password(text), "{text}");
        }
        for text in ["Verification code: ", "One-time password (OATH): ", "New password: ", "Passcode: "] {
            assert!(!is_for_password(text), "{text}");
        }
    }

    #[test]
    fn methods_are_whole_words() {
        let methods = Methods("publickey,keyboard-interactive".into());
        assert!(methods.has("publickey") && methods.has("keyboard-interactive"));
        assert!(!methods.has("key") && !methods.has("password"));
    }
}
