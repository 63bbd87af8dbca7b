//! Contexts by the real su.

use mitogen::dialogue::{FailureKind, Secret};
use mitogen::transports::su::{Options, Su};
use mitogen_tests::{TestUser, isolated};

use crate::common::{check, down, master, uid, up};
use crate::place::Place;

fn su(username: &str, password: Option<&str>) -> impl Fn(String) -> Su {
    let (username, password) = (username.to_owned(), password.map(Secret::new));
    move |program| {
        let (username, password) = (username.clone(), password.clone());
        Su::new(Options::new().username(username).password(password).program(program)).unwrap()
    }
}

#[test]
fn root_becomes_another_user_without_a_password() {
    isolated(|| {
        let user = TestUser::new().unwrap();
        let master = master();
        let plain = master.connect(&su(user.name(), None)("su".to_owned())).unwrap();
        let given = master.connect(&su(user.name(), Some("unused"))("su".to_owned())).unwrap();
        let unknown = master.connect(&su("mitonobody", None)("su".to_owned())).unwrap();
        assert_eq!(uid(&up(&plain)), user.uid());
        assert_eq!(uid(&up(&given)), user.uid());
        check(&down(&unknown), mitogen::dialogue::Stage::Privilege, FailureKind::UnknownUser);
        master.shutdown();
    });
}

#[test]
fn every_login_shell_of_the_new_user_works() {
    isolated(|| {
        let master = master();
        for shell in ["bash", "dash", "csh"] {
            let shell = mitogen_tests::run::find(shell).unwrap().display().to_string();
            let user = TestUser::options().shell(&shell).create().unwrap();
            let context = up(&master.connect(&su(user.name(), None)("su".to_owned())).unwrap());
            assert_eq!(uid(&context), user.uid(), "behind {shell}");
        }
        master.shutdown();
    });
}

#[test]
fn other_users_need_the_password_of_the_new_user() {
    isolated(|| {
        let (user, other) = (TestUser::new().unwrap(), TestUser::new().unwrap());
        let place = Place::of(&user);
        place.works("su", other.uid(), su(other.name(), Some(other.password())));
        place.refuses("su", FailureKind::PasswordIncorrect, su(other.name(), Some("not-the-password")));
        place.refuses("su", FailureKind::PasswordRequired, su(other.name(), None));
        place.refuses("su", FailureKind::UnknownUser, su("mitonobody", Some("not-the-password")));
        place.master.shutdown();
    });
}

#[test]
fn german_messages_are_understood() {
    isolated(|| {
        let (user, other) = (TestUser::new().unwrap(), TestUser::new().unwrap());
        let place = Place::with_environment(&user, "LANG=C.UTF-8 LC_ALL=C.UTF-8 LANGUAGE=de");
        place.works("su", other.uid(), su(other.name(), Some(other.password())));
        place.refuses("su", FailureKind::PasswordIncorrect, su(other.name(), Some("not-the-password")));
        place.master.shutdown();
    });
}

#[test]
fn accounts_that_cannot_be_used_are_named() {
    isolated(|| {
        let user = TestUser::new().unwrap();
        let place = Place::of(&user);
        let silent = TestUser::options().shell("/bin/false").create().unwrap();
        place.refuses("su", FailureKind::NotPermitted, su(silent.name(), Some(silent.password())));
        place.refuses("su", FailureKind::PasswordIncorrect, su(silent.name(), Some("not-the-password")));
        let expired = TestUser::new().unwrap();
        mitogen_tests::run::run(&["chage", "-d", "0", expired.name()]).unwrap();
        place.refuses("su", FailureKind::NotPermitted, su(expired.name(), Some(expired.password())));
        place.master.shutdown();
    });
}
