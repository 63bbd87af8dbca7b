//! What su asks and says.
//!
//! su takes no prompt of ours. Its messages are asked for in English, but not every su listens, so
//! a few other languages are known, too. A prompt counts only before a password was sent.

use mitogen_core::dialogue::{
    Action, Dialogue, ExitRule, Failure, FailureKind, Rule, START, Shown, Source, Stage, interpreter_exits,
    literal,
};

use crate::options::Options;

pub(crate) fn dialogue(options: &Options) -> Dialogue {
    let prompt = |action| {
        let pattern = match &options.password_prompt {
            Some(text) => format!("{} ?$", literal(text.trim_end())),
            None => PROMPT.to_owned(),
        };
        Rule::new(Source::Any, Shown::Partial, pattern, action).any_case()
    };
    let rules = match options.password {
        Some(_) => vec![
            prompt(Action::SendSecret(PASSWORD.to_owned())).in_state(START).then(SENT),
            prompt(Action::Fail(incorrect())).in_state(SENT),
        ],
        None => vec![prompt(Action::Fail(
            failure(FailureKind::PasswordRequired, "su wants a password and none is given")
                .with_hint("set `password`; only root needs none"),
        ))],
    };
    let mut exits: Vec<_> =
        options.incorrect_prompts.iter().map(|text| said(&literal(text), incorrect())).collect();
    exits.extend(known_words());
    exits.extend(interpreter_exits());
    exits.push(ExitRule::new(incorrect()).in_state(SENT).status(1));
    let stages = [START, SENT].map(|state| (state.to_owned(), Stage::Privilege)).to_vec();
    Dialogue { rules, exits, stages }
}

/// The name of the secret.
pub(crate) const PASSWORD: &str = "password";
const SENT: &str = "sent";

/// `Password:`, also as `Password for root:` and `root's password:`, and in German, French, Spanish,
/// Italian, Portuguese, Dutch, Polish, Russian, Japanese and Chinese. The last colon may be a wide one. No
/// sentence may stand before it on its line: that would be talk.
const PROMPT: &str = "^[^.!?:]{0,40}(password|passwor[td]|passphrase|mot de passe|contrase\\xc3\\xb1a|senha|palavra-passe|wachtwoord\
    |has\\xc5\\x82o|\\xd0\\xbf\\xd0\\xb0\\xd1\\x80\\xd0\\xbe\\xd0\\xbb\\xd1\\x8c|\\xd0\\x9f\\xd0\\xb0\\xd1\\x80\\xd0\\xbe\\xd0\\xbb\\xd1\\x8c\
    |\\xe3\\x83\\x91\\xe3\\x82\\xb9\\xe3\\x83\\xaf\\xe3\\x83\\xbc\\xe3\\x83\\x89|\\xe5\\xaf\\x86\\xe7\\xa0\\x81)[^.!?:]{0,40}(:|\\xef\\xbc\\x9a) ?$";

fn known_words() -> Vec<ExitRule> {
    let not_permitted = |message| failure(FailureKind::NotPermitted, message);
    vec![
        said(
            r"^su: (.*does not exist|.*unknown (login|user|id)|.*no passwd entry|user .* not found|no such user|Benutzer .* existiert nicht|l'utilisateur .* n'existe pas)|^No passwd entry for user|^Unknown id: ",
            failure(FailureKind::UnknownUser, "su does not know the user to become").with_hint("check `username`"),
        ),
        said(
            r"^su: (must be run from a terminal|.*not a tty|.*needs? a (tty|terminal))",
            failure(FailureKind::TtyRequired, "su insists on a terminal")
                .with_hint("with a `password` it is given one"),
        ),
        said(
            r"^su: .*(not in the correct group|not in (the )?wheel|may not be used by|must be (suid|setuid|root)|not allowed to su|You are not authorized)",
            not_permitted("su is not for this user").with_hint("the calling user may have to be in the group wheel"),
        ),
        said(
            r"(account has expired|account is (locked|disabled|currently not available)|account locked|password has expired|Das Benutzerkonto ist abgelaufen|compte a expir)",
            not_permitted("the account of the user to become is locked or has expired"),
        ),
        said(r"^su: (Permission denied|Zugriff verweigert|Keine Berechtigung)", not_permitted("su refused this user")
            .with_hint("PAM's rules for su say no; often only members of the group wheel may")),
        said(
            r"(^su: ?(sorry|authentication failure|authentication error|authentication service cannot|incorrect password)|authentication is denied|^su: (Fehler bei Authentifizierung|Authentifizierungsfehler|.*chec .*authentification))",
            incorrect(),
        )
        .in_state(SENT),
        said(
            r"^su: ?(sorry|authentication failure|authentication error|authentication token manipulation|incorrect password)",
            failure(FailureKind::AuthenticationFailed, "su refused before a password was sent"),
        ),
        said(
            r"^(usage: su|su: (invalid|unrecognized|illegal) option)",
            failure(FailureKind::BadOption, "su does not take its options"),
        ),
    ]
}

fn incorrect() -> Failure {
    failure(FailureKind::PasswordIncorrect, "su refused the password")
        .with_hint("su wants the new user's password, not the calling user's")
}

fn said(pattern: &str, failure: Failure) -> ExitRule {
    ExitRule::new(failure).showing(Source::Any, pattern)
}

fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure::new(Stage::Privilege, kind, message)
}
