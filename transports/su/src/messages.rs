//! The prompts and messages of su.
//!
//! su has no option for its prompt. It is asked for English messages, but not every su complies, so a few other
//! languages are recognised too. A prompt counts only before the password was sent.

use mitogen_become::{SENT, failure, message};
use mitogen_core::dialogue::{ExitRule, Failure, FailureKind};

/// `Password:`, `Password for root:` and `root's password:`, and the same in German, French, Spanish, Italian,
/// Portuguese, Dutch, Polish, Russian, Japanese and Chinese. The final colon may be a wide one. A line with an
/// earlier sentence on it does not match.
pub(crate) const PROMPT: &str = "^[^.!?:]{0,40}(password|passwor[td]|passphrase|mot de passe|contrase\\xc3\\xb1a|senha|palavra-passe|wachtwoord\
    |has\\xc5\\x82o|\\xd0\\xbf\\xd0\\xb0\\xd1\\x80\\xd0\\xbe\\xd0\\xbb\\xd1\\x8c|\\xd0\\x9f\\xd0\\xb0\\xd1\\x80\\xd0\\xbe\\xd0\\xbb\\xd1\\x8c\
    |\\xe3\\x83\\x91\\xe3\\x82\\xb9\\xe3\\x83\\xaf\\xe3\\x83\\xbc\\xe3\\x83\\x89|\\xe5\\xaf\\x86\\xe7\\xa0\\x81)[^.!?:]{0,40}(:|\\xef\\xbc\\x9a) ?$";

/// The error messages of su.
pub(crate) fn exits() -> Vec<ExitRule> {
    let not_permitted = |message| failure(FailureKind::NotPermitted, message);
    vec![
        message(
            r"^su: (.*does not exist|.*unknown (login|user|id)|.*no passwd entry|user .* not found|no such user|Benutzer .* existiert nicht|l'utilisateur .* n'existe pas)|^No passwd entry for user|^Unknown id: ",
            failure(FailureKind::UnknownUser, "su: unknown user").with_hint("check `username`"),
        ),
        message(
            r"^su: (must be run from a terminal|.*not a tty|.*needs? a (tty|terminal))",
            failure(FailureKind::TtyRequired, "su requires a terminal")
                .with_hint("set `password`: su then gets a terminal"),
        ),
        message(
            r"^su: .*(not in the correct group|not in (the )?wheel|may not be used by|must be (suid|setuid|root)|not allowed to su|You are not authorized)",
            not_permitted("the calling user may not run su")
                .with_hint("the calling user may have to be a member of the group wheel"),
        ),
        message(
            r"(account has expired|account is (locked|disabled)|account locked|password has expired|Das Benutzerkonto ist abgelaufen|compte a expir)",
            not_permitted("the new user's account is locked or has expired"),
        ),
        message(
            r"^This account is (currently )?not available",
            not_permitted("the new user's login shell runs no commands")
                .with_hint("it is nologin or the like; the account needs another shell"),
        ),
        message(
            r"^su: (Permission denied|Zugriff verweigert|Keine Berechtigung)",
            not_permitted("su: permission denied")
                .with_hint("the PAM rules for su deny it; often they allow only members of the group wheel"),
        ),
        message(
            r"(^su: ?(sorry|authentication failure|authentication error|authentication service cannot|incorrect password)|authentication is denied|^su: (Fehler bei Authentifizierung|Authentifizierungsfehler|.*chec .*authentification))",
            incorrect(),
        )
        .in_state(SENT),
        message(
            r"^su: ?(sorry|authentication failure|authentication error|authentication token manipulation|incorrect password)",
            failure(FailureKind::AuthenticationFailed, "su: authentication failed before a password was sent"),
        ),
        message(
            r"^(usage: su|su: (invalid|unrecognized|illegal) option)",
            failure(FailureKind::BadOption, "su rejected its options"),
        ),
    ]
}

/// A prompt, and no password is given.
pub(crate) fn required() -> Failure {
    failure(FailureKind::PasswordRequired, "su requires a password and none is given")
        .with_hint("set `password`; only root can run su without one")
}

/// The password was rejected.
pub(crate) fn incorrect() -> Failure {
    failure(FailureKind::PasswordIncorrect, "su rejected the password")
        .with_hint("su requires the new user's password, not the calling user's")
}
