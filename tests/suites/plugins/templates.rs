//! Templates.

use mitogen_tests::isolated;

use crate::{Site, said};

/// A tool that passes its arguments on unchanged: it executes what stands behind its own.
const PASSES_ON: &str = r#"#!/bin/sh
name=${0##*/}
while [ $# -gt 0 ]; do
    case $1 in /bin/sh | */python*) THROUGH="$THROUGH $name" exec env THROUGH="$THROUGH $name" "$@" ;; esac
    shift
done
echo "$name: no command" >&2
exit 99
"#;

/// A tool that asks for a password on its terminal and gives its last argument to a shell.
const ASKS: &str = r#"#!/bin/sh
printf 'Password: ' >/dev/tty
IFS= read -r answer </dev/tty
if [ "$answer" != right ]; then
    printf '\nPassword: ' >/dev/tty
    IFS= read -r answer </dev/tty
    exit 1
fi
for last do :; done
THROUGH="$THROUGH asks" exec /bin/sh -c "$last"
"#;

const TOOLS: [(&str, &str, &str); 11] = [
    ("docker", "docker_path", ""),
    ("podman", "podman_path", ""),
    ("buildah", "buildah_path", ""),
    ("kubectl", "kubectl_path", "namespace = \"n\"\ncontainer = \"c\""),
    ("lxc", "lxc_attach_path", ""),
    ("lxd", "lxc_path", ""),
    ("incus", "incus_path", ""),
    ("nspawn", "systemd_run_path", ""),
    ("jail", "jexec_path", ""),
    ("nsenter", "nsenter_path", "pid = 1"),
    ("srun", "srun_path", "jobid = 7"),
];

#[test]
fn every_built_in_template_starts_contexts_here_and_through_a_context() {
    isolated(|| {
        let mut profiles = "[profile.inner]\nmethod = \"local\"\n".to_owned();
        for (method, path, more) in TOOLS {
            profiles +=
                &format!("[profile.x-{method}]\nmethod = \"{method}\"\n{path} = \"BIN/{method}\"\n{more}\n");
            profiles += &format!(
                "[profile.y-{method}]\nextends = \"x-{method}\"\nhostname = \"y-{method}\"\nvia = \"inner\"\n"
            );
        }
        let site = Site::new(&profiles);
        for (method, _, _) in TOOLS {
            site.write(method, 0o755, PASSES_ON);
        }
        said(&site.mitogen(&["profiles", "check"]), 0);
        // One process at a time for each tool: sh, and then the interpreter in its place.
        let script = "printf '%s|' $THROUGH; cat -; echo error >&2";
        let (out, err) = said(&site.mitogen(&["run", "*", "!inner", "--", script]), 0);
        for (method, _, _) in TOOLS {
            for begin in ["x", "y"] {
                let line = format!("{begin}-{method}: {method}|");
                assert!(out.lines().any(|got| got == line), "no `{line}` in\n{out}");
                assert!(err.contains(&format!("{begin}-{method}")), "{err}");
            }
        }
    });
}

#[test]
fn templates_of_the_file_are_planned_run_and_used_as_intermediates() {
    isolated(|| {
        let site = Site::new(
            r#"
            [transport.passes]
            argv = ["BIN/passes", ["--zone={zone}"], "{hostname}", "{child...}"]
            options = { hostname = "string", zone = "string" }

            [transport.asks]
            argv = ["BIN/asks", "{hostname}", "{child...}"]
            quote = "shell"
            stdio = "hybrid_tty"
            options = { hostname = "string", password = "secret" }
            rules = [{ pattern = "Password: $", source = "diag", send_secret = "password" }]

            [profile.a]
            method = "passes"
            zone = "z"
            [profile.b]
            method = "asks"
            hostname = "b"
            via = "a"
            password = "right"
            [profile.c]
            method = "passes"
            hostname = "c"
            via = "b"
            [profile.wrong]
            extends = "b"
            hostname = "wrong"
            password = "left"
            [profile.none]
            method = "asks"
            "#,
        );
        site.write("passes", 0o755, PASSES_ON);
        site.write("asks", 0o755, ASKS);
        let (plan, _) = said(&site.mitogen(&["plan", "a"]), 0);
        assert!(plan.contains("--zone=z a"), "{plan}");
        let (out, _) = said(&site.mitogen(&["run", "c", "--", "echo $THROUGH"]), 0);
        assert_eq!(out.trim(), "passes asks passes");
        let file = site.write("data", 0o600, "some data\n");
        let copy = site.path().join("copy").display().to_string();
        said(&site.mitogen(&["put", "c", &file.display().to_string(), &copy]), 0);
        assert_eq!(std::fs::read_to_string(&copy).unwrap(), "some data\n");
        for (profile, text) in
            [("wrong", "the password was rejected"), ("none", "the password is asked for and not given")]
        {
            let (_, err) = said(&site.mitogen(&["run", profile, "--", "true"]), 5);
            assert!(err.contains(text), "{err}");
            assert!(!err.contains("left"), "{err}");
        }
    });
}

#[test]
fn known_failures_of_the_tools_are_named() {
    isolated(|| {
        let site = Site::new(
            "[profile.a]\nmethod = \"docker\"\ndocker_path = \"BIN/docker\"\n\
             [profile.b]\nmethod = \"chroot\"\nroot = \"BIN/nowhere\"\n\
             [profile.c]\nmethod = \"kubectl\"\nkubectl_path = \"BIN/kubectl\"\n",
        );
        site.write(
            "docker",
            0o755,
            "#!/bin/sh\necho 'Error response from daemon: No such container: a' >&2\nexit 1\n",
        );
        site.write(
            "kubectl",
            0o755,
            "#!/bin/sh\necho 'Error from server (Forbidden): pods \"c\" is forbidden' >&2\nexit 1\n",
        );
        let (_, err) = said(&site.mitogen(&["run", "a", "--", "true"]), 4);
        assert!(err.contains("there is no such container"), "{err}");
        let (_, err) = said(&site.mitogen(&["run", "b", "--", "true"]), 2);
        assert!(err.contains("the new root directory cannot be used"), "{err}");
        let (_, err) = said(&site.mitogen(&["run", "c", "--", "true"]), 5);
        assert!(err.contains("the cluster does not permit this"), "{err}");
    });
}

/// As root, like all suites that start programs as other users.
#[test]
fn chroot_changes_the_root_directory() {
    isolated(|| {
        let site = Site::new("[profile.a]\nmethod = \"chroot\"\nroot = \"/\"\nusername = \"nobody\"\n");
        let (out, _) = said(&site.mitogen(&["run", "a", "--", "id -un"]), 0);
        assert_eq!(out.trim(), "nobody");
    });
}
