//! Users of this system.

use std::io;
use std::path::PathBuf;

use nix::unistd::{Uid, User as NixUser};

/// An entry of the user database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Numeric id.
    pub uid: u32,
    /// Numeric id of the first group.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

/// Looks a user up by login name.
///
/// # Errors
/// What the database reports; an unknown name is `Ok(None)`.
pub fn user_by_name(name: &str) -> io::Result<Option<User>> {
    Ok(NixUser::from_name(name)?.map(convert))
}

/// The user that this process acts as (its effective id); `None` when the database does not know it,
/// as in many containers.
///
/// # Errors
/// What the database reports.
pub fn current_user() -> io::Result<Option<User>> {
    Ok(NixUser::from_uid(Uid::effective())?.map(convert))
}

fn convert(user: NixUser) -> User {
    User {
        name: user.name,
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        home: user.dir,
        shell: user.shell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_user_is_found_by_name() {
        let me = current_user().unwrap().unwrap();
        assert_eq!(user_by_name(&me.name).unwrap(), Some(me));
        assert_eq!(user_by_name("no such user ever").unwrap(), None);
    }
}
