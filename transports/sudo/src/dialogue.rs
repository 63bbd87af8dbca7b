//! What sudo says.
//!
//! The prompt is known by the token we chose. What sudo says when it refuses is in the caller's
//! language, and it cannot be told otherwise without changing the language of everything that the
//! new context starts (sudo hands `LANGUAGE` on). So known words, English and a few others, only
//! sharpen a verdict that also follows from states and exit statuses alone.

use mitogen_core::dialogue::{
    Action, Dialogue, ExitRule, Failure, FailureKind, Rule, START, Shown, Source, Stage, interpreter_exits,
};

use crate::command::PROMPT;

pub(crate) fn dialogue(has_password: bool) -> Dialogue {
    let required = failure(FailureKind::PasswordRequired, "sudo wants a password and none is given")
        .with_hint("set `password`, or allow the command without one in sudoers (NOPASSWD)");
    let incorrect = failure(FailureKind::PasswordIncorrect, "sudo refused the password").with_hint(
        "sudo wants the calling user's password, not the new user's, unless sudoers says otherwise",
    );
    let mut rules = Vec::new();
    for pattern in prompts() {
        let prompt = |action| Rule::new(Source::Any, Shown::Partial, pattern.clone(), action);
        if has_password {
            rules.push(prompt(Action::SendSecret(PASSWORD.to_owned())).in_state(START).then(SENT));
            rules.push(prompt(Action::Fail(incorrect.clone())).in_state(SENT));
        } else {
            rules.push(prompt(Action::Fail(required.clone())));
        }
    }
    let mut exits = known_words(&required, &incorrect);
    exits.extend(interpreter_exits());
    exits.extend(without_words(has_password, required));
    let stages = [START, SENT].map(|state| (state.to_owned(), Stage::Privilege)).to_vec();
    Dialogue { rules, exits, stages }
}

/// The name of the secret.
pub(crate) const PASSWORD: &str = "password";
const SENT: &str = "sent";

/// Our prompt as sudo prints it, and as sudo-rs does: `[sudo: TOKEN] Password: `, the last word in
/// the user's language, and stars behind it as the password is typed.
fn prompts() -> [String; 2] {
    [format!("(^|[^ ]){PROMPT}$"), format!(r"\[sudo: {PROMPT}\] [^*]{{1,50}}(:|\xef\xbc\x9a) ?$")]
}

fn known_words(required: &Failure, incorrect: &Failure) -> Vec<ExitRule> {
    let rule =
        |failure: &Failure, pattern: &str| ExitRule::new(failure.clone()).showing(Source::Any, pattern);
    let not_permitted = |message| failure(FailureKind::NotPermitted, message);
    let not_found = Failure::new(
        Stage::Interpreter,
        FailureKind::NoInterpreter,
        "sudo cannot find or start the interpreter",
    )
    .with_hint("check sudo's `secure_path`, or name the interpreter with the `python` option");
    vec![
        rule(
            incorrect,
            r"^sudo(-rs)?: .*(incorrect (password|authentication) attempt|Fehlversuche? bei der Passwort|saisies? de mots? de passe incorrecte)",
        ),
        // sudo goes on to say that a password is required, so this stands before that.
        rule(
            &not_permitted("the calling user's account is locked or has expired")
                .with_hint("unlock it or set a new password"),
            r"^sudo(-rs)?: .*(account validation failure|account .*(expired|locked)|unable to change expired password|password expired|ist das Konto gesperrt|votre compte serait-il)",
        ),
        rule(
            &failure(FailureKind::TtyRequired, "sudo insists on a terminal")
                .with_hint("set `tty = true`, or take `requiretty` out of sudoers"),
            r"^sudo(-rs)?: (.*you must have a tty|.*a terminal is required|.*ssen ein TTY haben|.*devez avoir un terminal tty)",
        ),
        rule(
            &not_permitted("sudo does not let this user run anything").with_hint("add the calling user to sudoers"),
            r"(is not in the sudoers file|may not run sudo|is not allowed to run sudo|^sudo(-rs)?: I'm sorry .* I'm afraid I can't do that|ist nicht in der sudoers-Datei|darf sudo auf|darf der Benutzer .* sudo f|pas dans le fichier sudoers|ne peut pas utiliser sudo)",
        ),
        rule(
            &not_permitted("sudo does not let this user run this command as that user")
                .with_hint("the interpreter's path and the new user must be allowed in sudoers"),
            r"(is not allowed to execute |darf der Benutzer .* nicht ausf|pas autoris.* ex.*cuter )",
        ),
        rule(
            &not_permitted("sudo does not let this user choose the environment")
                .with_hint("unset `preserve_env`, or allow SETENV in sudoers"),
            r"^sudo(-rs)?: .*(not allowed to preserve the environment|not allowed to set the following environment|Environment nicht erhalten|pas autoris.* conserver l'environnement)",
        ),
        rule(
            &failure(FailureKind::UnknownUser, "sudo does not know the user to become").with_hint("check `username`"),
            r"^sudo(-rs)?: .*(unknown user|user .* not found|unknown uid|Unbekannter Benutzer|utilisateur .* inconnu)",
        ),
        rule(
            &not_permitted("sudo has no privileges to give").with_hint(
                "its file must belong to root with the set-user-ID bit, outside nosuid and no-new-privileges places",
            ),
            r"^sudo(-rs)?: .*(effective uid is not 0|setuid bit set|no new privileges|setuid.*-Bit gesetzt haben|avoir le bit setuid)",
        ),
        rule(
            &failure(FailureKind::BadOption, "sudo does not take these options"),
            r"^(usage: sudo|sudo(-rs)?: (invalid option|unrecognized option|.*SELinux))",
        ),
        rule(&not_found, r"^sudo(-rs)?: (.*command not found|unable to execute |.*Befehl nicht gefunden|.*commande introuvable)"),
        rule(
            required,
            r"^sudo(-rs)?: (.*a password is required|.*interactive authentication is required|no tty present and no askpass|Ein Passwort ist notwendig|il est n.*cessaire de saisir un mot de passe)",
        ),
    ]
}

/// What the end means in any language. sudo's own refusals have status 1.
fn without_words(has_password: bool, required: Failure) -> Vec<ExitRule> {
    let refused = |message| {
        failure(FailureKind::NotPermitted, message)
            .with_hint("what sudo printed, in its own language, says why")
    };
    let from_sudo =
        |failure| ExitRule::new(failure).status(1).in_state(START).showing(Source::Any, "^sudo(-rs)?: ");
    vec![
        ExitRule::new(refused("sudo took the password and still refused")).status(1).in_state(SENT),
        from_sudo(if has_password {
            refused("sudo refused before it asked for the password")
        } else {
            Failure { message: "sudo refused, most likely for want of a password".to_owned(), ..required }
        }),
    ]
}

fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure::new(Stage::Privilege, kind, message)
}
