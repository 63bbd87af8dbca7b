//! The order of places, and who may have written there.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;

fn search(asked_for: Option<&str>, variables: &[(&str, &str)]) -> Search {
    Search::with_variables(asked_for.map(PathBuf::from), |name| {
        variables.iter().find(|(set, _)| *set == name).map(|(_, value)| PathBuf::from(value))
    })
}

fn write(path: &Path, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "# profiles\n").unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn places_come_in_order() {
    let first_of = |places: &[&str]| Search::FirstOf(places.iter().map(PathBuf::from).collect());
    let system = "/etc/mitogen/mitogen.toml";
    assert_eq!(search(Some("a"), &[("MITOGEN_PROFILES", "b")]), Search::Exactly("a".into()));
    assert_eq!(search(None, &[("MITOGEN_PROFILES", "b")]), Search::Exactly("b".into()));
    let home = ("HOME", "/h");
    let usual = first_of(&["mitogen.toml", "/h/.config/mitogen/mitogen.toml", system]);
    assert_eq!(search(None, &[home]), usual);
    assert_eq!(search(None, &[home, ("MITOGEN_PROFILES", ""), ("XDG_CONFIG_HOME", "")]), usual);
    assert_eq!(search(None, &[home, ("XDG_CONFIG_HOME", "relative")]), usual);
    assert_eq!(
        search(None, &[home, ("XDG_CONFIG_HOME", "/x")]),
        first_of(&["mitogen.toml", "/x/mitogen/mitogen.toml", system])
    );
    assert_eq!(search(None, &[]), first_of(&["mitogen.toml", system]));
}

#[test]
fn the_first_file_that_exists_wins() {
    let directory = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a/m", "b/m", "c/m"].map(|name| directory.path().join(name));
    let search = Search::FirstOf(vec![a.clone(), b.clone(), c.clone()]);
    assert!(search.read().unwrap().is_none());
    write(&c, 0o600);
    assert_eq!(search.read().unwrap().unwrap().path(), c);
    write(&b, 0o644);
    assert_eq!(search.read().unwrap().unwrap().path(), b);
    // A file that is refused is not passed over in favour of a later one.
    write(&a, 0o666);
    assert!(matches!(search.read(), Err(ProfilesError::Unsafe { path, .. }) if path == a));
    let error = Search::Exactly(directory.path().join("none")).read().unwrap_err();
    assert!(matches!(error, ProfilesError::Read { .. }));
    let error = Search::Exactly(directory.path().to_owned()).read().unwrap_err();
    assert!(matches!(error, ProfilesError::Read { .. }));
}

#[test]
fn files_that_others_can_write_are_refused() {
    let check = |uid, mode: u32| {
        let found = Owner { uid, mode: 0o100_000 | mode, ours: 1000 }.check(Path::new("m.toml"));
        found.map_err(|error| error.to_string())
    };
    for (uid, mode) in [(1000, 0o600), (1000, 0o644), (0, 0o644), (1000, 0o755)] {
        assert_eq!(check(uid, mode), Ok(()), "{uid} {mode:o}");
    }
    let refused =
        |reason: &str, hint: &str| Err(format!("refusing profiles from m.toml: {reason}\n  {hint}"));
    let mend = "if you trust what it says: chmod go-w m.toml";
    assert_eq!(check(1000, 0o664), refused("its group can write to it", mend));
    assert_eq!(check(0, 0o646), refused("anybody can write to it", mend));
    assert_eq!(check(1000, 0o666), refused("anybody can write to it", mend));
    assert_eq!(
        check(1001, 0o600),
        refused(
            "it belongs to user 1001, who is neither you nor root",
            "if you trust what it says: sudo chown 1000 m.toml"
        )
    );
}

#[test]
fn files_that_others_can_replace_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("open/m.toml");
    write(&path, 0o600);
    let open = |mode| fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(mode)).unwrap();
    open(0o777);
    let error = Source::read(&path).unwrap_err().to_string();
    assert!(
        error.contains("anybody can put another file in its place\n  make its directory yours alone"),
        "{error}"
    );
    open(0o1777);
    assert!(Source::read(&path).is_ok());
}

#[test]
fn who_may_read_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.toml");
    for (mode, shared) in [(0o600, false), (0o640, true), (0o604, true), (0o400, false)] {
        write(&path, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(Source::read(&path).unwrap().is_shared(), shared, "{mode:o}");
    }
}

#[test]
fn places_count_letters() {
    let source = Source::from_text("m", "ab\néx\n\nlast");
    let places = [0, 1, 3, 5, 6, 7, 8, 11].map(|at| {
        let Place { line, column } = source.place(at);
        (line, column)
    });
    assert_eq!(places, [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 1), (4, 1), (4, 4)]);
    assert_eq!((source.line(1), source.line(2), source.line(3), source.line(4)), ("ab", "éx", "", "last"));
}
