//! Contexts by the real sudo.

use mitogen::dialogue::{FailureKind, Secret};
use mitogen::transports::sudo::{Options, Sudo};
use mitogen_tests::users::Rule;
use mitogen_tests::{TestUser, isolated};

use crate::place::Place;

/// sudo with options of the test's choice.
fn sudo(change: impl Fn(&mut Options)) -> impl Fn(String) -> Sudo {
    move |sudo_path| {
        let mut options = Options::new().sudo_path(sudo_path);
        change(&mut options);
        Sudo::new(options).unwrap()
    }
}

fn password(text: &str) -> impl Fn(&mut Options) {
    let secret = Secret::new(text);
    move |options| options.password = Some(secret.clone())
}

#[test]
fn connects_without_a_password() {
    isolated(|| {
        let user = TestUser::options().sudo(Rule::NoPassword).create().unwrap();
        let other = TestUser::new().unwrap();
        let place = Place::of(&user);
        place.works("sudo", 0, sudo(|_| {}));
        place.works("sudo", 0, sudo(|options| options.tty = true));
        place.works("sudo", 0, sudo(|options| options.login = Some(true)));
        // A password is not sent unless sudo asks for it.
        place.works("sudo", 0, sudo(password(user.password())));
        let name = other.name().to_owned();
        place.works("sudo", other.uid(), sudo(|options| options.username = Some(name.clone())));
        let number = format!("#{}", other.uid());
        place.works("sudo", other.uid(), sudo(|options| options.username = Some(number.clone())));
        place.refuses(
            "sudo",
            FailureKind::UnknownUser,
            sudo(|options| options.username = Some("mitonobody".to_owned())),
        );
        place.master.shutdown();
    });
}

#[test]
fn the_password_is_checked() {
    isolated(|| {
        let user = TestUser::options().sudo(Rule::Password).create().unwrap();
        let place = Place::of(&user);
        place.works("sudo", 0, sudo(password(user.password())));
        place.refuses("sudo", FailureKind::PasswordIncorrect, sudo(password("not-the-password")));
        place.refuses("sudo", FailureKind::PasswordRequired, sudo(|_| {}));
        place.master.shutdown();
    });
}

#[test]
fn users_without_rights_are_refused() {
    isolated(|| {
        let user = TestUser::new().unwrap();
        let place = Place::of(&user);
        place.refuses("sudo", FailureKind::NotPermitted, sudo(password(user.password())));
        place.refuses("sudo", FailureKind::PasswordIncorrect, sudo(password("not-the-password")));
        place.refuses("sudo", FailureKind::PasswordRequired, sudo(|_| {}));
        place.master.shutdown();
    });
}

#[test]
fn users_who_may_run_one_other_command_are_refused() {
    isolated(|| {
        let user = TestUser::options().sudoers("{user} ALL=(ALL) /bin/true").create().unwrap();
        let place = Place::of(&user);
        place.refuses("sudo", FailureKind::NotPermitted, sudo(password(user.password())));
        place.master.shutdown();
    });
}

#[test]
fn requiretty_needs_a_terminal() {
    isolated(|| {
        let user = TestUser::options()
            .sudoers("Defaults:{user} requiretty")
            .sudo(Rule::NoPassword)
            .create()
            .unwrap();
        let place = Place::of(&user);
        place.refuses("sudo", FailureKind::TtyRequired, sudo(|_| {}));
        place.works("sudo", 0, sudo(|options| options.tty = true));
        place.works("sudo", 0, sudo(password(user.password())));
        place.master.shutdown();
    });
}

#[test]
fn sudo_with_use_pty_works() {
    isolated(|| {
        // With `use_pty` sudo runs the command on a pseudo-terminal of its own and relays the data.
        let user =
            TestUser::options().sudoers("Defaults:{user} use_pty").sudo(Rule::Password).create().unwrap();
        let place = Place::of(&user);
        place.works("sudo", 0, sudo(password(user.password())));
        place.refuses("sudo", FailureKind::PasswordIncorrect, sudo(password("not-the-password")));
        place.master.shutdown();
    });
}

#[test]
fn german_messages_are_understood() {
    isolated(|| {
        let user = TestUser::options().sudo(Rule::Password).create().unwrap();
        let without_rights = TestUser::new().unwrap();
        let german = "LANG=C.UTF-8 LC_ALL=C.UTF-8 LANGUAGE=de";
        let place = Place::with_environment(&user, german);
        place.works("sudo", 0, sudo(password(user.password())));
        place.refuses("sudo", FailureKind::PasswordIncorrect, sudo(password("not-the-password")));
        place.refuses("sudo", FailureKind::PasswordRequired, sudo(|_| {}));
        place.master.shutdown();
        let place = Place::with_environment(&without_rights, german);
        place.refuses("sudo", FailureKind::NotPermitted, sudo(password(without_rights.password())));
        place.master.shutdown();
    });
}
