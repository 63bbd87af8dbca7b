//! `[transport.NAME]`: transports that the profile file defines.

use mitogen_core::connect::TransportOrigin;

use super::*;

const TSH: &str = r#"
[transport.tsh]
argv = ["tsh", "ssh", ["--proxy={proxy}"], "{hostname}", "{child...}"]
quote = "shell"
options = { hostname = "string", proxy = "string", password = "secret" }
rules = [{ pattern = "password: $", send_secret = "password" }]
"#;

fn brief(text: &str) -> Vec<String> {
    let found = parse(text).unwrap_err().0;
    found
        .iter()
        .map(|error| {
            let key = error.key.as_deref().unwrap_or("-");
            format!("{}:{} {key}: {}", error.line, error.column, error.message)
        })
        .collect()
}

#[test]
fn profiles_use_a_transport_of_the_file() {
    let text = format!(
        "[profile.web]\nmethod = \"tsh\"\nhostname = \"web[1-2]\"\nproxy = \"p\"\npassword = {{ env = \"X\" }}\n{TSH}"
    );
    let inventory = parse(&text).unwrap();
    assert_eq!(
        inventory.transports().get("tsh").unwrap().origin(),
        &TransportOrigin::Template("m.toml".into())
    );
    let targets = inventory.select("web", None).unwrap();
    let chain = inventory.resolve(&targets[1], &Overrides::default()).unwrap();
    let hop = &chain.hops[0];
    assert_eq!(hop.masked_options()["hostname"], "web2");
    // A master that was started without the file's transports can use the hop.
    let kind = hop.transport().unwrap();
    let tsh = kind.create(hop.masked_options().into()).unwrap();
    let plan = tsh.plan(&ChildCommand::new(["python3", "-c", "a b"])).unwrap();
    assert_eq!(plan.argv(), ["tsh", "ssh", "--proxy=p", "web2", "python3 -c 'a b'"]);
    assert!(
        inventory.resolve(&inventory.select("local", None).unwrap()[0], &Overrides::default()).unwrap().hops
            [0]
        .transport()
        .is_none()
    );
}

#[test]
fn faults_have_a_line_and_a_key() {
    let text = r#"
[transport.a]
argv = ["a", "{x}",
        "{child...}", "{child...}"]
qoute = "shell"
[transport.b]
argv = ["b", "{x}", "{child...}"]
rules = [{ pattern = "(", pass = true }]
[transport.ssh]
argv = ["ssh", "{child...}"]
[transport."x y"]
argv = ["x", "{child...}"]
[transport.c]
argv = ["c", "{child...}"]
options = { via = "string", username = "strng" }
[transport]
d = 5
[profile.p]
method = "b"
"#;
    let text = text.replace("[transport]\nd = 5\n", "");
    assert_eq!(
        brief(&text),
        [
            "5:1 transport.a.qoute: unknown key",
            "7:14 transport.b.argv[1]: no option `x`",
            "8:22 transport.b.rules[0].pattern: not a regular expression: unclosed group",
            "9:12 transport.ssh: there is a transport `ssh` already (built in)",
            "11:12 transport.x y: a name cannot contain ` `",
            "15:13 transport.c.options.via: every profile has a key of this name",
            "15:40 transport.c.options.username.type: unknown type `strng`",
        ]
    );
    assert_eq!(brief("[transport]\nd = 5\n"), ["2:5 transport.d: expected a table, found an integer"]);
    assert_eq!(brief("transport = 1\n"), ["1:13 transport: expected a table, found an integer"]);
    let two = "[transport.a]\nargv = [\"a\", \"{child...}\", \"{child...}\"]\n";
    assert_eq!(brief(two), ["2:8 transport.a.argv: the child's command stands here more than once"]);
}

#[test]
fn options_of_the_files_transports_are_checked() {
    let text = format!(
        "[profile.web]\nmethod = \"tsh\"\nproxy = 5\nprxy = \"p\"\n[profile.bad]\nmethod = \"tsh\"\nhostname = \"ok\"\nproxy = \"\"\n{TSH}"
    );
    assert_eq!(
        brief(&text),
        [
            "3:9 profile.web.proxy: tsh: must be a string, not an integer",
            "4:1 profile.web.prxy: unknown key for method `tsh`",
        ]
    );
}
