//! The prompts and messages of sudo.
//!
//! The prompt is recognised by its token. Error messages are in the caller's language, which cannot be changed without
//! changing the language of everything that the new context starts (sudo passes `LANGUAGE` on). Known messages, in
//! English and a few other languages, therefore only refine a verdict that follows from states and exit statuses.

use mitogen_become::{PasswordFailures, SENT, expired_rules, failure, message, prompt_rules, stages};
use mitogen_core::connect::ChildCommand;
use mitogen_core::dialogue::{Dialogue, ExitRule, Failure, FailureKind, START, Source, Stage, literal};

use crate::command::PROMPT;
use crate::options::Resolved;

pub(crate) fn dialogue(options: &Resolved, child: &ChildCommand) -> Dialogue {
    let has_password = options.password.is_some();
    let command = child.argv.first().map_or("the interpreter", String::as_str);
    let failures = PasswordFailures {
        required: failure(FailureKind::PasswordRequired, "sudo requires a password and none is given")
            .with_hint(format!(
                "set `password`, or permit {command} with any arguments as the new user in sudoers with NOPASSWD; \
                 to permit other commands is not enough"
            )),
        incorrect: failure(FailureKind::PasswordIncorrect, "sudo rejected the password").with_hint(
            "sudo requires the calling user's password, not the new user's, unless sudoers says otherwise",
        ),
    };
    let prompts = prompts();
    let mut rules = expired_rules();
    rules.extend(prompts.iter().flat_map(|pattern| prompt_rules(pattern, false, has_password, &failures)));
    if let Some(text) = &options.password_prompt {
        let pattern = format!("{} ?$", literal(text.trim_end()));
        rules.extend(prompt_rules(&pattern, true, has_password, &failures));
    }
    let mut exits = known_messages(&failures, command);
    exits.extend(child.exits.iter().cloned());
    exits.extend(by_status(options, failures.required));
    Dialogue { rules, exits, stages: stages(), ..Dialogue::default() }
}

/// Our prompt as sudo prints it, and as sudo-rs does: `[sudo: TOKEN] Password: `, with the last word in the user's
/// language and an asterisk for each character that is typed.
fn prompts() -> [String; 2] {
    [format!("(^|[^ ]){PROMPT}$"), format!(r"\[sudo: {PROMPT}\] [^*]{{1,50}}(:|\xef\xbc\x9a) ?$")]
}

fn known_messages(failures: &PasswordFailures, command: &str) -> Vec<ExitRule> {
    let rule = |failure: &Failure, pattern: &str| message(pattern, failure.clone());
    let not_permitted = |message| failure(FailureKind::NotPermitted, message);
    let not_found = Failure::new(
        Stage::Interpreter,
        FailureKind::NoInterpreter,
        "sudo cannot find or start the interpreter",
    )
    .with_hint("check `secure_path` in sudoers, or set `python`");
    vec![
        rule(
            &failures.incorrect,
            r"^sudo(-rs)?: .*(incorrect (password|authentication) attempt|Fehlversuche? bei der Passwort|saisies? de mots? de passe incorrecte)",
        ),
        // sudo then also prints that a password is required, so this rule comes before that one.
        rule(
            &not_permitted("the calling user's account is locked or has expired")
                .with_hint("unlock the account or set a new password"),
            r"^sudo(-rs)?: .*(account validation failure|account .*(expired|locked)|unable to change expired password|password expired|ist das Konto gesperrt|votre compte serait-il)",
        ),
        rule(
            &failure(FailureKind::TtyRequired, "sudo requires a terminal")
                .with_hint("set `tty = true`, or remove `requiretty` from sudoers"),
            r"^sudo(-rs)?: (.*you must have a tty|.*a terminal is required|.*ssen ein TTY haben|.*devez avoir un terminal tty)",
        ),
        rule(
            &not_permitted("the calling user is not in sudoers").with_hint("add the calling user to sudoers"),
            r"(is not in the sudoers file|may not run sudo|is not allowed to run sudo|^sudo(-rs)?: I'm sorry .* I'm afraid I can't do that|ist nicht in der sudoers-Datei|darf sudo auf|darf der Benutzer .* sudo f|pas dans le fichier sudoers|ne peut pas utiliser sudo)",
        ),
        rule(
            &not_permitted("sudoers does not permit the calling user to run this command as the new user")
                .with_hint(format!(
                    "permit {command} with any arguments as the new user in sudoers; to permit other commands is \
                     not enough"
                )),
            r"(is not allowed to execute |darf der Benutzer .* nicht ausf|pas autoris.* ex.*cuter )",
        ),
        rule(
            &not_permitted("sudoers does not permit the calling user to preserve the environment")
                .with_hint("unset `preserve_env`, or allow SETENV in sudoers"),
            r"^sudo(-rs)?: .*(not allowed to preserve the environment|not allowed to set the following environment|Environment nicht erhalten|pas autoris.* conserver l'environnement)",
        ),
        rule(
            &failure(FailureKind::UnknownUser, "sudo: unknown user").with_hint("check `username`"),
            r"^sudo(-rs)?: .*(unknown user|user .* not found|unknown uid|Unbekannter Benutzer|utilisateur .* inconnu)",
        ),
        rule(
            &not_permitted("sudo is not installed with root privileges").with_hint(
                "its file must belong to root and have the set-user-ID bit, and neither a nosuid mount nor no-new-privileges may apply",
            ),
            r"^sudo(-rs)?: .*(effective uid is not 0|setuid bit set|no new privileges|setuid.*-Bit gesetzt haben|avoir le bit setuid)",
        ),
        rule(
            &failure(FailureKind::BadOption, "sudo rejected its options"),
            r"^(usage: sudo|sudo(-rs)?: (invalid option|unrecognized option|.*SELinux))",
        ),
        rule(&not_found, r"^sudo(-rs)?: (.*command not found|unable to execute |.*Befehl nicht gefunden|.*commande introuvable)"),
        rule(
            &failures.required,
            r"^sudo(-rs)?: (.*a password is required|.*interactive authentication is required|no tty present and no askpass|Ein Passwort ist notwendig|il est n.*cessaire de saisir un mot de passe)",
        ),
    ]
}

/// Verdicts that need no known message. sudo's own errors have status 1.
fn by_status(options: &Resolved, required: Failure) -> Vec<ExitRule> {
    let refused = |message| {
        failure(FailureKind::NotPermitted, message)
            .with_hint("the output of sudo says why, in the calling user's language")
    };
    let from_sudo =
        |failure| ExitRule::new(failure).status(1).showing(Source::Any, "^sudo(-rs)?: ").quoting();
    let denied = refused("sudo accepted the password and then denied the request");
    // sudo reports its own errors in words, so a silent end is the login shell's.
    let after = if options.login {
        let shell = failure(
            FailureKind::NotPermitted,
            "sudo or the new user's login shell refused to run the command",
        )
        .with_hint("the shell may be restricted, or no shell, such as nologin or /bin/false");
        ExitRule::new(shell).status(1)
    } else {
        ExitRule::new(denied.clone()).status(1).in_state(SENT)
    };
    vec![
        from_sudo(denied).in_state(SENT),
        from_sudo(if options.password.is_some() {
            refused("sudo denied the request before it asked for the password")
        } else {
            Failure {
                message: "sudo denied the request, most likely because it requires a password".to_owned(),
                ..required
            }
        })
        .in_state(START),
        after,
    ]
}
