//! Shared objects in C and in Rust are loaded and asked, and faulty ones are refused with the reason.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use mitogen_core::connect::{ChildCommand, Stdio, TransportKind, TransportOrigin};
use mitogen_core::dialogue::{ExitRule, Failure, FailureKind, Stage};
use mitogen_plugin_host::{LoadError, load};
use serde_json::{Value, json};

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Compiles a shared object from C.
fn compile(directory: &Path, name: &str, source: &Path, flags: &[&str]) -> PathBuf {
    let file = directory.join(name);
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-I"])
        .arg(here().join("../abi/include"));
    run(cc.args(flags).arg("-o").arg(&file).arg(source));
    // Whatever the umask is.
    fs::set_permissions(&file, Permissions::from_mode(0o755)).expect("its mode");
    file
}

fn faulty(directory: &Path, name: &str, flags: &[&str]) -> PathBuf {
    compile(directory, name, &here().join("tests/fixtures.c"), flags)
}

/// The example in Rust.
fn nice(directory: &Path) -> PathBuf {
    let exe = std::env::current_exe().expect("own path");
    let target = exe.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file()).expect("a target directory");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "build",
        "--quiet",
        "--offline",
        "--locked",
        "--package",
        "mitogen-plugin-sdk",
        "--example",
        "nice_plugin",
        "--target-dir",
    ]);
    run(cargo.arg(target).current_dir(here()));
    let suffix = std::env::consts::DLL_SUFFIX;
    // A copy in a private directory: a target directory may be one that others can write.
    let file = directory.join("nice.so");
    fs::copy(target.join(format!("debug/examples/libnice_plugin{suffix}")), &file).expect("a copy");
    fs::set_permissions(&file, Permissions::from_mode(0o755)).expect("its mode");
    file
}

fn argv(kind: &TransportKind, options: Value) -> Vec<String> {
    let child = ChildCommand::new(["python3", "-c", "[\"it's\"]"]);
    let plan = kind.create(options).and_then(|transport| transport.plan(&child)).expect("a plan");
    plan.argv().to_vec()
}

#[test]
fn the_example_in_c_makes_plans() {
    let directory = tempfile::tempdir().unwrap();
    let file = compile(directory.path(), "env.so", &here().join("../abi/examples/env.c"), &["-pedantic"]);
    let kind = load(&file).unwrap();
    assert_eq!(kind.name(), "env");
    assert_eq!(kind.origin(), &TransportOrigin::Library(fs::canonicalize(&file).unwrap()));
    let names: Vec<&str> = kind.option_names().collect();
    assert_eq!(names, ["greeting", "connect_timeout"]);
    let options = json!({"greeting": "a \"b\" ]c", "connect_timeout": 2.5});
    assert_eq!(argv(&kind, options.clone()), ["python3", "-c", "[\"it's\"]"]);
    let exit = ExitRule::new(Failure::new(Stage::Interpreter, FailureKind::NoInterpreter, "none"));
    let child = ChildCommand::new(["x"]).with_exits(vec![exit.clone()]);
    let plan = kind.create(options).unwrap().plan(&child).unwrap();
    assert_eq!(plan.spawn().unwrap().env["GREETING"].as_deref(), Some("a \"b\" ]c"));
    assert_eq!((plan.timeout.as_secs_f64(), &plan.dialogue.exits), (2.5, &vec![exit]));
    for options in [json!({}), json!({"greeting": 5}), json!({"greeting": ""})] {
        assert_eq!(kind.create(options.clone()).unwrap_err().key.as_deref(), Some("greeting"), "{options}");
    }
}

#[test]
fn the_example_in_rust_makes_plans_and_is_left_alone_after_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let kind = load(&nice(directory.path())).unwrap();
    assert_eq!(argv(&kind, json!({"adjustment": 3}))[..2], ["nice", "--adjustment=3"]);
    let transport = kind.create(json!({"password": "hunter2"})).unwrap();
    let plan = transport.plan(&ChildCommand::new(["x"])).unwrap();
    assert_eq!(plan.spawn().unwrap().stdio, Stdio::HybridTty);
    assert_eq!(plan.secrets["password"].expose(), "hunter2");
    assert_eq!((plan.name.as_str(), plan.method.as_str()), ("nice.10", "nice"));
    let refused = kind.create(json!({"adjustment": 7})).unwrap_err();
    assert_eq!((refused.key.as_deref(), refused.message.as_str()), (Some("adjustment"), "seven is taken"));
    assert!(kind.create(json!({"adjustment": 20})).is_err());
    let panicked = kind.create(json!({"adjustment": 13})).unwrap_err();
    assert!(panicked.message.contains("has panicked"), "{panicked}");
    let later = transport.plan(&ChildCommand::new(["x"])).unwrap_err();
    assert!(later.message.contains("has panicked before and is not called again"), "{later}");
}

#[test]
fn files_that_are_no_plugins_are_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let table: [(&[&str], &str); 11] = [
        (&["-DMAGIC=1"], "its table begins with 0x1"),
        (
            &["-DMAJOR=2"],
            "built for version 2.0 of the plugin interface, and this program supports 1.0 to 1.0",
        ),
        (&["-DMAJOR=0"], "built for version 0.0"),
        (&["-DMINOR=9"], "built for version 1.9"),
        (&["-DSIZE=16"], "its table has 16 bytes"),
        (&["-DSYMBOL=other"], "it exports no mitogen_plugin_v1"),
        (&["-DNO_TABLE"], "it returned no table"),
        (&["-DPLAN=0"], "it has no function `plan`"),
        (&["-DNAME=\"a b\""], "`a b` cannot be the name of a transport"),
        (&["-DNAME=\"\\xff\""], "its name is not UTF-8"),
        (&["-DOPTIONS=\"[]\""], "its option schema is not an object"),
    ];
    for (index, (flags, part)) in table.into_iter().enumerate() {
        let file = faulty(directory.path(), &format!("{index}.so"), flags);
        let error = load(&file).unwrap_err().to_string();
        assert!(error.contains(part), "{flags:?}: {error}");
    }
    let text = directory.path().join("text.so");
    fs::write(&text, "no library").unwrap();
    assert!(matches!(load(&text), Err(LoadError::Loader { .. })));
    assert!(matches!(load(&directory.path().join("none.so")), Err(LoadError::Examine { .. })));
}

#[test]
fn replies_that_are_no_plans_are_errors_of_the_transport() {
    let directory = tempfile::tempdir().unwrap();
    let table: [(&[&str], &str); 7] = [
        (&["-DLARGE"], "has 2097152 bytes, more than 1048576"),
        (&["-DNOTHING"], "is a null pointer with 5 bytes"),
        (&["-DREPLY=\"\\xff\""], "is not UTF-8"),
        (&["-DREPLY=\"text\""], "is not JSON"),
        (&["-DREPLY=\"{\\\"plan\\\":{\\\"version\\\":9}}\""], "holds no plan"),
        (&["-DSTATUS=7"], "returned 7"),
        (&["-DSTATUS=2"], "has panicked"),
    ];
    for (index, (flags, part)) in table.into_iter().enumerate() {
        let kind = load(&faulty(directory.path(), &format!("{index}.so"), flags)).unwrap();
        let error = kind.create(json!({})).unwrap_err().to_string();
        assert!(error.contains(part), "{flags:?}: {error}");
    }
}

#[test]
fn files_that_others_can_write_are_not_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
    let file = faulty(&inner, "a.so", &[]);
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(&file, 0o755);
    assert!(load(&file).is_ok());
    mode(&file, 0o775);
    assert!(load(&file).unwrap_err().to_string().contains("the file is writable by its group"));
    mode(&file, 0o755);
    mode(&inner, 0o777);
    assert!(load(&file).unwrap_err().to_string().contains("the directory is writable by everyone"));
    mode(&inner, 0o755);
    // A link to it is judged by what it leads to.
    let link = directory.path().join("link.so");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert!(load(&link).is_ok());
    mode(&inner, 0o757);
    assert!(load(&link).is_err());
}
