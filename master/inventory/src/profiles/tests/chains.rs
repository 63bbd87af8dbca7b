//! Chains: hops, values, origins, and which hops are shared.

use std::sync::Mutex;
use std::time::Duration;

use mitogen_core::dialogue::Secret;

use super::*;
use crate::profiles::{Become, SecretResolver, SecretSource, SecretStore};

const FILE: &str = r#"
[defaults]
python = "/usr/bin/env python3"
timeout = 20
forks = 64

[profile.base]
username = "deploy"
ssh_args = ["-o", "Tag={host}"]

[profile.gate]
method = "ssh"
hostname = "gate.example.org"
timeout = 5

[profile.web]
extends = "base"
method = "ssh"
hostname = "web[01-03].example.org"
via = "gate"
python = ["/opt/{host}/python"]
password = { command = ["pass", "show", "{host}"] }

[profile.web-root]
method = "sudo"
via = "web"
password = { prompt = true }

[profile.app]
method = "docker"
via = "web"
hostname = "app[1-3]"
container = "{host}-1"

[profile.old]
extends = "web"
connect_timeout = 90

[group]
all = ["web", "app"]
"#;

fn inventory() -> Inventory {
    parse(FILE).map_err(|faults| faults.to_string()).unwrap()
}

fn chain(target: &str, overrides: &Overrides) -> Result<Chain, String> {
    let inventory = inventory();
    let targets = inventory.select(target, None).map_err(|error| error.to_string())?;
    assert_eq!(targets.len(), 1, "{target}");
    inventory.resolve(&targets[0], overrides).map_err(|error| error.to_string())
}

/// `key method options` of each hop.
fn hops(chain: &Chain) -> Vec<String> {
    chain
        .hops
        .iter()
        .map(|hop| format!("{} {} {}", hop.key, hop.method, Json::Object(hop.masked_options())))
        .collect()
}

#[test]
fn chains_are_complete() {
    let plain = Overrides::default();
    let gate = r#"gate/gate.example.org ssh {"connect_timeout":5.0,"hostname":"gate.example.org"}"#;
    let web = r#"web/web02.example.org ssh {"connect_timeout":20.0,"hostname":"web02.example.org","password":"********","ssh_args":["-o","Tag=web02.example.org"],"username":"deploy"}"#;
    let root = r#"web-root/web02.example.org sudo {"password":"********"}"#;
    let app = r#"app/app2 docker {"container":"app2-1"}"#;
    assert_eq!(hops(&chain("gate", &plain).unwrap()), [gate]);
    assert_eq!(hops(&chain("web02", &plain).unwrap()), [gate, web]);
    assert_eq!(hops(&chain("web-root/web02", &plain).unwrap()), [gate, web, root]);
    assert_eq!(hops(&chain("app2", &plain).unwrap()), [gate, web, app]);
    assert_eq!(hops(&chain("local", &plain).unwrap()), [r#"local local {"connect_timeout":20.0}"#]);
    let adhoc = r#"ssh:root@x:22 ssh {"connect_timeout":20.0,"hostname":"x","port":22,"username":"root"}"#;
    assert_eq!(hops(&chain("root@x:22", &plain).unwrap()), [adhoc]);
    let root = chain("web-root/web02", &plain).unwrap();
    assert_eq!(root.hops.iter().map(|hop| hop.via).collect::<Vec<_>>(), [None, Some(0), Some(1)]);
    let pythons: Vec<String> = root.hops.iter().map(|hop| hop.python.join(" ")).collect();
    // sudo stays on the machine, so its interpreter is that of the hop before it.
    assert_eq!(
        pythons,
        ["/usr/bin/env python3", "/opt/web02.example.org/python", "/opt/web02.example.org/python"]
    );
    let app = chain("app2", &plain).unwrap();
    assert_eq!(app.hops[2].python, ["/usr/bin/env", "python3"]);
    assert_eq!(chain("old/web01", &plain).unwrap().hops[1].timeout, Some(Duration::from_secs(90)));
    assert_eq!(inventory().defaults().forks, Some(64));
}

#[test]
fn keepalive_is_inherited_and_overridden() {
    use mitogen_core::connect::Keepalive;
    let text = "[defaults]\nkeepalive = 60\n[profile.a]\nmethod = \"sudo\"\n\
                [profile.b]\nmethod = \"sudo\"\nkeepalive = { interval = 0.5, count = 7 }\n\
                [profile.c]\nextends = \"b\"\nkeepalive = false\n[profile.d]\nextends = \"c\"\n";
    let inventory = parse(text).map_err(|faults| faults.to_string()).unwrap();
    let of = |target: &str| {
        let target = &inventory.select(target, None).unwrap()[0];
        inventory.resolve(target, &Overrides::default()).unwrap().hops[0].clone()
    };
    let seconds = |seconds, count| Some(Keepalive { interval: Duration::from_secs_f64(seconds), count });
    for (target, expected) in [
        ("a", seconds(60.0, 3)),
        ("local", seconds(60.0, 3)),
        ("b", seconds(0.5, 7)),
        ("c", Some(Keepalive::OFF)),
        ("d", Some(Keepalive::OFF)),
    ] {
        let hop = of(target);
        assert_eq!(hop.keepalive, expected, "{target}");
        // Transports without such options do not get them.
        assert!(!hop.masked_options().keys().any(|key| key.starts_with("keepalive")), "{target}");
    }
    assert_eq!(of("c").origins()["keepalive"].to_string(), "m.toml:10");
}

#[test]
fn ssh_keepalive_follows_the_keepalive_of_the_link() {
    let text = "[defaults]\nkeepalive = 60\n[profile.a]\nmethod = \"ssh\"\n\
                [profile.b]\nmethod = \"ssh\"\nkeepalive = { interval = 0.5, count = 7 }\n\
                [profile.c]\nmethod = \"ssh\"\nkeepalive = false\n\
                [profile.d]\nmethod = \"ssh\"\nkeepalive_count = 9\n\
                [profile.e]\nmethod = \"ssh\"\nkeepalive = false\nkeepalive_enabled = true\n";
    let registry = builtin();
    let inventory = Inventory::parse(&ProfileFile::from_text("m.toml", text), &registry);
    let inventory = inventory.map_err(|faults| faults.to_string()).unwrap();
    for (target, own, ours) in [
        ("a", r#""keepalive_count":3,"keepalive_enabled":true,"keepalive_interval":60"#, Some(300.0)),
        ("b", r#""keepalive_count":7,"keepalive_enabled":true,"keepalive_interval":1"#, Some(4.5)),
        ("c", r#""keepalive_enabled":false"#, Some(0.0)),
        // The transport's own options take precedence; then its plan determines the keep-alive of the link.
        ("d", r#""keepalive_count":9,"keepalive_enabled":true,"keepalive_interval":60"#, None),
        ("e", r#""keepalive_enabled":true"#, None),
    ] {
        let chosen = &inventory.select(target, None).unwrap()[0];
        let hop = inventory.resolve(chosen, &Overrides::default()).unwrap().hops[0].clone();
        let expected = format!(r#"{{"hostname":"{target}",{own}}}"#);
        assert_eq!(Json::Object(hop.masked_options()).to_string(), expected);
        assert_eq!(hop.keepalive.map(|keepalive| keepalive.detection_time().as_secs_f64()), ours, "{target}");
    }
}

#[test]
fn fork_requires_via() {
    let registry = builtin();
    let check = |text: &str| {
        let found = Inventory::parse(&ProfileFile::from_text("m.toml", text), &registry);
        found.map(drop).map_err(|faults| faults.to_string())
    };
    let fault = check("[profile.x]\nconnect_timeout = 3\nmethod = \"fork\"\n").unwrap_err();
    let expected = "m.toml:3:10: profile.x.method: method `fork` copies the context that `via` names, \
                    and the profile has no `via`\n  3 | method = \"fork\"\n    |          ^^^^^^\n    = add via = \"NAME\", a profile \
                    whose contexts run Python";
    assert_eq!(fault.trim_end(), expected);
    check("[profile.x]\nmethod = \"fork\"\nvia = \"local\"\n").unwrap();
    // A profile that others extend may leave the key to them.
    check("[profile.x]\nmethod = \"fork\"\n[profile.y]\nextends = \"x\"\nvia = \"local\"\n").unwrap();
    let fault = check("[profile.x]\nmethod = \"fork\"\n[profile.y]\nextends = \"x\"\n").unwrap_err();
    assert!(fault.contains("m.toml:2:10: profile.x.method: method `fork` copies"), "{fault}");
}

#[test]
fn the_command_line_changes_the_hops() {
    let sudo = |user: Option<&str>| Some(Become { method: "sudo".into(), user: user.map(str::to_owned) });
    let overrides = Overrides {
        user: Some("admin".into()),
        ask_pass: true,
        r#become: sudo(Some("app")),
        ask_become_pass: true,
        timeout: Some(Duration::from_millis(1500)),
    };
    assert_eq!(
        hops(&chain("web02", &overrides).unwrap()),
        [
            r#"gate/gate.example.org ssh {"connect_timeout":1.5,"hostname":"gate.example.org"}"#,
            r#"web/web02.example.org+user=admin+ask ssh {"connect_timeout":1.5,"hostname":"web02.example.org","password":"********","ssh_args":["-o","Tag=web02.example.org"],"username":"admin"}"#,
            r#"web/web02.example.org>sudo:app+user=admin+ask+ask sudo {"password":"********","username":"app"}"#,
        ]
    );
    // Hops before a change are shared with the unchanged chain, hops behind it are not.
    let plain = chain("web-root/web02", &Overrides::default()).unwrap();
    let changed =
        chain("web-root/web02", &Overrides { user: Some("x".into()), ..Overrides::default() }).unwrap();
    let same: Vec<bool> = plain.hops.iter().zip(&changed.hops).map(|(a, b)| a.key == b.key).collect();
    assert_eq!(same, [true, false, false]);
    let asked = Overrides { ask_become_pass: true, ..Overrides::default() };
    let chain_asked = chain("web-root/web02", &asked).unwrap();
    assert_eq!(chain_asked.hops[2].secrets()["password"], SecretSource::Prompt("become password".into()));
    let become_local = Overrides { r#become: sudo(None), ..Overrides::default() };
    assert_eq!(hops(&chain("local", &become_local).unwrap())[1], "local>sudo: sudo {}");
}

#[test]
fn overrides_without_effect_are_refused() {
    let user = Overrides { user: Some("x".into()), ..Overrides::default() };
    let pass = Overrides { ask_pass: true, ..Overrides::default() };
    let become_pass = Overrides { ask_become_pass: true, ..Overrides::default() };
    let unknown =
        Overrides { r#become: Some(Become { method: "pbrun".into(), user: None }), ..Overrides::default() };
    let table = [
        ("local", &user, "-u has no effect: no hop to `local` logs in"),
        ("local", &pass, "-k has no effect: no hop to `local` logs in"),
        (
            "gate",
            &become_pass,
            "-K has no effect: the last hop to `gate` does not become another user; add -b",
        ),
        ("gate", &unknown, "gate: unknown method `pbrun`; available methods: docker, local, ssh, sudo"),
    ];
    for (target, overrides, message) in table {
        assert_eq!(chain(target, overrides).unwrap_err(), message);
    }
    let foreign = Target {
        label: "x".into(),
        kind: crate::targets::TargetKind::Listed { profile: "web".into(), host: "nowhere".into() },
    };
    let error = inventory().resolve(&foreign, &Overrides::default()).unwrap_err();
    assert_eq!(error.to_string(), "x: not a target of this inventory");
}

#[test]
fn hosts_pair_by_name_or_by_position() {
    let file = "[profile.a]\nmethod = \"ssh\"\nhostname = \"h[1-3]\"\n\
                [profile.b]\nmethod = \"ssh\"\nhostname = [\"h3\", \"h1\", \"h2\"]\nvia = \"a\"\n\
                [profile.c]\nmethod = \"docker\"\nhostname = \"c[1-3]\"\nvia = \"a\"\ncontainer = \"x\"\n\
                [profile.d]\nmethod = \"sudo\"\nvia = \"local\"\n";
    let inventory = parse(file).unwrap();
    let first_hops = |target: &str| {
        let targets = inventory.select(target, None).unwrap();
        let chains = targets.iter().map(|target| inventory.resolve(target, &Overrides::default()).unwrap());
        chains.map(|chain| format!("{}:{}", chain.label, chain.hops[0].key)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(first_hops("b"), "b/h3:a/h3 b/h1:a/h1 b/h2:a/h2");
    assert_eq!(first_hops("c"), "c1:a/h1 c2:a/h2 c3:a/h3");
    assert_eq!(first_hops("d"), "d:local");
}

struct Recording(Mutex<Vec<String>>);

impl SecretResolver for &Recording {
    fn get(&self, source: &SecretSource) -> Result<Secret, String> {
        self.0.lock().unwrap().push(source.to_string());
        Ok(Secret::new("hunter2"))
    }
}

#[test]
fn secrets_are_obtained_once_and_only_when_needed() {
    let inventory = inventory();
    let recording = Recording(Mutex::default());
    let store = SecretStore::new(&recording);
    let targets = inventory.select("web-root", None).unwrap();
    for target in &targets {
        let chain = inventory.resolve(target, &Overrides::default()).unwrap();
        assert!(!format!("{chain:?}{}", chain.explain()).contains("hunter2"));
        let root = chain.hops[2].filled_options(&store).unwrap();
        assert_eq!(root["password"], "hunter2");
        assert_eq!(chain.hops[1].filled_options(&store).unwrap()["password"], "hunter2");
    }
    assert_eq!(
        *recording.0.lock().unwrap(),
        [
            "the answer to \"password for profile web-root\"",
            "command `pass show web01.example.org`",
            "command `pass show web02.example.org`",
            "command `pass show web03.example.org`",
        ]
    );
}

#[test]
fn explain_lists_values_and_origins() {
    let overrides = Overrides { user: Some("admin".into()), ..Overrides::default() };
    let text = chain("web-root/web01", &overrides).unwrap().explain();
    let expected = r#"web-root/web01.example.org
  1. ssh gate/gate.example.org
     connect_timeout = 5.0                      # m.toml:14
     hostname = "gate.example.org"              # m.toml:13
     method = "ssh"                             # m.toml:12
     python = ["/usr/bin/env","python3"]        # m.toml:3
  2. ssh web/web01.example.org+user=admin
     connect_timeout = 20.0                                       # m.toml:4
     hostname = "web01.example.org"                               # m.toml:19
     method = "ssh"                                               # m.toml:18
     password = ******** from command `pass show web01.example.org`  # m.toml:22
"#;
    let line =
        |number: usize| text.lines().nth(number).unwrap_or_default().split_whitespace().collect::<Vec<_>>();
    for (number, expected) in expected.lines().enumerate() {
        assert_eq!(line(number), expected.split_whitespace().collect::<Vec<_>>(), "{text}");
    }
    assert!(text.contains("     username = \"admin\" "), "{text}");
    assert!(
        text.lines().any(|line| line.contains("username = \"admin\"") && line.ends_with("# command line"))
    );
    assert!(text.lines().any(|line| line.contains("via = web/web01.example.org+user=admin")), "{text}");
}

/// A realistic file, with the built-in transports.
#[test]
fn the_built_in_transports_take_their_options() {
    let file = r#"
[profile.web]
method = "ssh"
hostname = "web[01-20].example.org"
username = "deploy"
port = 2222
identity_file = "~/.ssh/{host}"
python = ["/usr/bin/env", "python3"]

[profile.web-root]
method = "sudo"
via = "web"
password = { env = "SUDO_PASSWORD" }

[profile.web-db]
method = "su"
via = "web-root"
username = "postgres"

[profile.bsd]
method = "doas"
via = "web"
timeout = 5

[group]
all = ["web", "db*"]
"#;
    let registry = builtin();
    let inventory = Inventory::parse(&ProfileFile::from_text("m.toml", file), &registry);
    let inventory = inventory.map_err(|faults| faults.to_string()).unwrap();
    let targets = inventory.select("@all,web-db,bsd,root@x:22,local", Some("*01,x,local")).unwrap();
    let labels: Vec<&str> = targets.iter().map(|target| target.label.as_str()).collect();
    let expected =
        ["web01.example.org", "web-db/web01.example.org", "bsd/web01.example.org", "root@x:22", "local"];
    assert_eq!(labels, expected);
    let recording = Recording(Mutex::default());
    let store = SecretStore::new(&recording);
    let overrides = Overrides { timeout: Some(Duration::from_secs(7)), ..Overrides::default() };
    let child = ChildCommand::new(["python3"]);
    for target in &targets {
        for hop in inventory.resolve(target, &overrides).unwrap().hops {
            let options = Json::Object(hop.filled_options(&store).unwrap());
            let transport = registry.get(&hop.method).unwrap().create(options).unwrap();
            let plan = transport.plan(&child).unwrap();
            assert_eq!((plan.method.as_str(), plan.timeout), (hop.method.as_str(), Duration::from_secs(7)));
        }
    }
    assert_eq!(*recording.0.lock().unwrap(), ["environment variable SUDO_PASSWORD"]);
    let wrong =
        file.replace("port = 2222", "port = \"ssh\"\nusrname = 3").replace("timeout = 5", "login = \"x\"");
    let faults = Inventory::parse(&ProfileFile::from_text("m.toml", wrong), &registry).unwrap_err();
    let keys: Vec<&str> = faults.0.iter().filter_map(|fault| fault.key.as_deref()).collect();
    assert_eq!(keys, ["profile.web.port", "profile.web.usrname", "profile.bsd.login"], "{faults}");
}
