//! sudo.

use mitogen::dialogue::{FailureKind, Secret};
use mitogen::transports::sudo::{Options, Sudo};
use mitogen_tests::users::Rule;
use mitogen_tests::{TestUser, isolated};

use crate::place::Place;

/// To root, with options of the test's choice.
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
fn without_a_password() {
    isolated(|| {
        let user = TestUser::options().sudo(Rule::NoPassword).create().unwrap();
        let other = TestUser::new().unwrap();
        let place = Place::of(&user);
        place.works("sudo", 0, sudo(|_| {}));
        place.works("sudo", 0, sudo(|options| options.tty = true));
        place.works("sudo", 0, sudo(|options| options.login = Some(true)));
        // One that nobody asks for is kept to ourselves.
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
fn with_a_password() {
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
fn users_without_rights() {
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
fn users_with_few_rights() {
    isolated(|| {
        let user = TestUser::options().sudoers("{user} ALL=(ALL) /bin/true").create().unwrap();
        let place = Place::of(&user);
        place.refuses("sudo", FailureKind::NotPermitted, sudo(password(user.password())));
        place.master.shutdown();
    });
}

#[test]
fn where_a_terminal_is_required() {
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
fn a_sudo_that_keeps_a_terminal_for_itself() {
    isolated(|| {
        // With `use_pty` sudo stays between us and the command, on a terminal of its own.
        let user =
            TestUser::options().sudoers("Defaults:{user} use_pty").sudo(Rule::Password).create().unwrap();
        let place = Place::of(&user);
        place.works("sudo", 0, sudo(password(user.password())));
        place.refuses("sudo", FailureKind::PasswordIncorrect, sudo(password("not-the-password")));
        place.master.shutdown();
    });
}

#[test]
fn in_german() {
    isolated(|| {
        let user = TestUser::options().sudo(Rule::Password).create().unwrap();
        let nobody = TestUser::new().unwrap();
        let german = "LANG=C.UTF-8 LC_ALL=C.UTF-8 LANGUAGE=de";
        let place = Place::with_environment(&user, german);
        place.works("sudo", 0, sudo(password(user.password())));
        place.refuses("sudo", FailureKind::PasswordIncorrect, sudo(password("not-the-password")));
        place.refuses("sudo", FailureKind::PasswordRequired, sudo(|_| {}));
        place.master.shutdown();
        let place = Place::with_environment(&nobody, german);
        place.refuses("sudo", FailureKind::NotPermitted, sudo(password(nobody.password())));
        place.master.shutdown();
    });
}
