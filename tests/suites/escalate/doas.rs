//! Contexts by the real doas.

use mitogen::dialogue::{FailureKind, Secret};
use mitogen::transports::doas::{Doas, Options};
use mitogen_tests::users::Rule;
use mitogen_tests::{TestUser, isolated};

use crate::place::Place;

fn doas(username: &str, password: Option<&str>) -> impl Fn(String) -> Doas {
    let (username, password) = (username.to_owned(), password.map(Secret::new));
    move |program| {
        let (username, password) = (username.clone(), password.clone());
        Doas::new(Options::new().username(username).password(password).program(program)).unwrap()
    }
}

#[test]
fn connects_without_a_password() {
    isolated(|| {
        let user = TestUser::options().doas(Rule::NoPassword).create().unwrap();
        let place = Place::of(&user);
        place.works("doas", 0, doas("root", None));
        place.works("doas", 0, doas("root", Some("unused")));
        place.refuses("doas", FailureKind::UnknownUser, doas("mitonobody", None));
        place.master.shutdown();
    });
}

#[test]
fn the_password_is_checked() {
    isolated(|| {
        let user = TestUser::options().doas(Rule::Password).create().unwrap();
        let place = Place::of(&user);
        place.works("doas", 0, doas("root", Some(user.password())));
        place.refuses("doas", FailureKind::PasswordIncorrect, doas("root", Some("not-the-password")));
        place.refuses("doas", FailureKind::PasswordRequired, doas("root", None));
        place.master.shutdown();
    });
}

#[test]
fn users_without_a_rule_are_refused() {
    isolated(|| {
        // The file of rules exists, but has no rule for this user.
        let _other = TestUser::options().doas(Rule::NoPassword).create().unwrap();
        let user = TestUser::new().unwrap();
        let place = Place::of(&user);
        place.refuses("doas", FailureKind::NotPermitted, doas("root", Some(user.password())));
        place.refuses("doas", FailureKind::NotPermitted, doas("root", None));
        place.master.shutdown();
    });
}
