//! Shared objects, with the example in C.

use std::path::Path;
use std::process::Command;

use mitogen_tests::isolated;

use crate::{Site, said};

/// The site with the example as `env.so`.
fn site(profiles: &str) -> Site {
    let site = Site::new(profiles);
    let abi = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/abi");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-I"])
        .arg(abi.join("include"))
        .arg("-o")
        .arg(site.path().join("env.so"))
        .arg(abi.join("examples/env.c"))
        .output()
        .expect("a C compiler, which the README requires");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    site
}

#[test]
fn the_example_starts_contexts_here_and_through_a_context() {
    isolated(|| {
        let site = site(
            "[plugins]\npaths = [\"env.so\"]\n[profile.inner]\nmethod = \"local\"\n\
             [profile.a]\nmethod = \"env\"\ngreeting = \"good \\\"morning\\\"\"\n\
             [profile.b]\nextends = \"a\"\nhostname = \"b\"\nvia = \"inner\"\n\
             [profile.c]\nmethod = \"local\"\nhostname = \"c\"\nvia = \"b\"\n",
        );
        let (out, _) = said(&site.mitogen(&["run", "a", "b", "c", "--no-fold", "--", "echo $GREETING"]), 0);
        assert_eq!(out.matches("good \"morning\"").count(), 3, "{out}");
        let (out, _) = said(&site.mitogen(&["plugins", "list"]), 0);
        assert!(out.starts_with("env  library ") && out.ends_with("/env.so\n"), "{out}");
        let (out, _) = said(&site.mitogen(&["plugins", "info", "env"]), 0);
        assert!(out.contains("greeting (string; default: required)\n      the value of GREETING"), "{out}");
        let (out, _) = said(&site.mitogen(&["plan", "a"]), 0);
        assert!(out.contains("GREETING"), "{out}");
    });
}

#[test]
fn faults_of_plugins_are_errors_of_the_profile_file() {
    isolated(|| {
        let site = site("[plugins]\npaths = [\"env.so\"]\n[profile.a]\nmethod = \"env\"\ngreeting = \"\"\n");
        let (_, err) = said(&site.mitogen(&["profiles", "check"]), 2);
        assert!(err.contains("profile.a.greeting: env: must be a text that is not empty"), "{err}");
        site.write("mitogen.toml", 0o600, "[plugins]\npaths = [\"text.so\", \"none.so\"]\n");
        site.write("text.so", 0o755, "no library");
        let (_, err) = said(&site.mitogen(&["profiles", "check"]), 2);
        assert!(err.contains("plugins.paths: cannot load ") && err.contains("cannot examine "), "{err}");
        site.write("env.so", 0o777, "");
        site.write("mitogen.toml", 0o600, "[plugins]\npaths = [\"env.so\"]\n");
        let (_, err) = said(&site.mitogen(&["run", "local", "--", "true"]), 2);
        assert!(err.contains("the file is writable by everyone"), "{err}");
        site.write("mitogen.toml", 0o600, "");
        let (_, err) = said(&site.mitogen(&["plugins", "info", "shh"]), 2);
        assert!(err.contains("did you mean `ssh`?"), "{err}");
    });
}
