//! The templates can be read, and make the command lines that the tools expect.

use mitogen_core::connect::ChildCommand;
use mitogen_core::connect::testing::check_option_errors;
use serde_json::{Value, json};

use super::*;

fn argv(method: &str, options: Value) -> String {
    let kind = kinds().into_iter().find(|kind| kind.name() == method).unwrap();
    let plan =
        kind.create(options).and_then(|transport| transport.plan(&ChildCommand::new(["py", "x y"]))).unwrap();
    plan.validate().unwrap();
    plan.argv().join(" ")
}

#[test]
fn every_template_can_be_read() {
    let names: Vec<String> =
        templates(Template::read).unwrap().iter().map(|template| template.kind().name().to_owned()).collect();
    let wanted = [
        "buildah", "chroot", "docker", "incus", "jail", "kubectl", "lxc", "lxd", "nsenter", "nspawn",
        "podman", "srun",
    ];
    assert_eq!(names, wanted);
    for kind in kinds() {
        for spec in kind.options() {
            assert!(!spec.doc.is_empty(), "{}: {} has no documentation", kind.name(), spec.name);
        }
    }
}

#[test]
fn command_lines_are_those_of_the_tools() {
    let table = [
        ("docker", json!({"hostname": "c"}), "docker exec --interactive c py x y"),
        (
            "docker",
            json!({"hostname": "h", "container": "c", "username": "u:g", "workdir": "/w", "env": ["A=1", "B=2"],
                "docker_host": "unix:///s", "docker_args": ["--debug"], "docker_path": "/opt/docker"}),
            "/opt/docker --host=unix:///s --debug exec --interactive --user=u:g --workdir=/w --env=A=1 --env=B=2 c py x y",
        ),
        (
            "podman",
            json!({"container": "c", "url": "ssh://a"}),
            "podman --url=ssh://a exec --interactive c py x y",
        ),
        ("buildah", json!({"container": "c", "username": "u"}), "buildah run --user=u -- c py x y"),
        ("kubectl", json!({"hostname": "p"}), "kubectl exec --stdin p -- py x y"),
        (
            "kubectl",
            json!({"pod": "deploy/web", "container": "app", "namespace": "n", "context": "k", "kubeconfig": "/k"}),
            "kubectl --kubeconfig=/k --context=k --namespace=n exec --stdin deploy/web --container=app -- py x y",
        ),
        ("lxc", json!({"hostname": "c"}), "lxc-attach --clear-env --name=c -- py x y"),
        ("lxd", json!({"hostname": "c", "uid": 0}), "lxc exec --mode=non-interactive --user=0 c -- py x y"),
        ("incus", json!({"container": "r:c"}), "incus exec --mode=non-interactive r:c -- py x y"),
        (
            "nspawn",
            json!({"hostname": "m", "username": "u"}),
            "systemd-run --machine=m --pipe --wait --quiet --collect --uid=u -- py x y",
        ),
        ("jail", json!({"jail": "3", "username": "www"}), "jexec -U www 3 py x y"),
        ("chroot", json!({"root": "/srv/a", "username": "u:g"}), "chroot --userspec=u:g /srv/a py x y"),
        ("nsenter", json!({"pid": 7}), "nsenter --target=7 --mount --uts --ipc --net --pid -- py x y"),
        (
            "nsenter",
            json!({"pid": 7, "namespaces": ["net"], "root": true, "uid": 1, "gid": 2}),
            "nsenter --target=7 --net --root --setuid=1 --setgid=2 -- py x y",
        ),
        (
            "nsenter",
            json!({"pid": 7, "namespaces": ["net"], "uid": 1000}),
            "nsenter --target=7 --net --setuid=1000 -- py x y",
        ),
        (
            "srun",
            json!({"hostname": "n1", "jobid": 12}),
            "srun --unbuffered --overlap --nodes=1 --ntasks=1 --jobid=12 --nodelist=n1 py x y",
        ),
        (
            "srun",
            json!({"hostname": "h", "any_node": true, "partition": "debug"}),
            "srun --unbuffered --overlap --nodes=1 --ntasks=1 --partition=debug py x y",
        ),
    ];
    for (method, options, wanted) in table {
        assert_eq!(argv(method, options), wanted);
    }
}

#[test]
fn names_that_are_flags_are_refused() {
    for kind in kinds() {
        for name in ["hostname", "container", "pod", "jail", "root"] {
            let in_word = matches!((kind.name(), name), ("lxc", _) | (_, "hostname"));
            if kind.has_option(name) && !in_word && !(kind.name() == "kubectl" && name == "container") {
                check_option_errors(
                    &kind,
                    &[(json!({name: "--privileged"}), name), (json!({name: ""}), name)],
                )
                .unwrap();
            }
        }
    }
    check_option_errors(
        &kinds().into_iter().find(|kind| kind.name() == "nsenter").unwrap(),
        &[(json!({"pid": 0}), "pid"), (json!({"pid": "1"}), "pid"), (json!({}), "pid")],
    )
    .unwrap();
}
