//! What expressions select, as tables.

use super::*;

fn parse(text: &str) -> Expression {
    read(text).unwrap()
}

fn read(text: &str) -> Result<Expression, TargetError> {
    Ok(Expression::parse(text)?)
}

fn catalog() -> Catalog {
    let entry = |profile: &str, host: String, owner| CatalogEntry::new(profile, host, owner);
    let mut entries = Vec::new();
    entries.extend((1..=4).map(|n| entry("web", format!("web0{n}.example.org"), true)));
    entries.extend((1..=4).map(|n| entry("web-root", format!("web0{n}.example.org"), false)));
    entries.push(entry("db1", "10.0.0.5".into(), true));
    entries.push(entry("db2", "10.0.0.6".into(), true));
    entries.extend(["a", "b"].map(|dc| entry("cache", format!("mem1.{dc}"), true)));
    entries.push(entry("cache", "db1".into(), true));
    let groups = [
        ("all", "web,db*"),
        ("odd", "web[01,03]"),
        ("prod", "@all !@odd"),
        ("future", "nothing*"),
        ("x", "@y"),
        ("y", "web,@x"),
    ];
    Catalog::new(entries, groups.into_iter().map(|(name, text)| (name.into(), parse(text))).collect())
}

fn selected(wanted: &str, limit: Option<&str>) -> Result<String, String> {
    let limit = limit.map(parse);
    let select = |wanted| catalog().select(&read(wanted)?, limit.as_ref());
    let targets = select(wanted).map_err(|error| error.to_string())?;
    Ok(crate::targets::fold(targets.iter().map(|target| &target.label)))
}

#[test]
fn expressions_select() {
    let table = [
        ("web", "web[01-04].example.org"),
        ("web01", "web01.example.org"),
        ("web01.example.org", "web01.example.org"),
        ("web[02-03],web01", "web[01-03].example.org"),
        ("web-root", "web-root/web[01-04].example.org"),
        ("web-root/web01", "web-root/web01.example.org"),
        ("web-root/web[02-03]", "web-root/web[02-03].example.org"),
        ("*/web04", "web04.example.org,web-root/web04.example.org"),
        ("db1", "db1"),
        ("db[1-2]", "db[1-2]"),
        ("10.0.0.6", "db2"),
        ("cache/db1", "cache/db1"),
        ("cache", "mem1.a,mem1.b,cache/db1"),
        ("mem1.b", "mem1.b"),
        ("db*", "db[1-2],cache/db1"),
        ("@all", "web[01-04].example.org,db[1-2],cache/db1"),
        ("@prod", "web[02,04].example.org,db[1-2],cache/db1"),
        ("web !web01", "web[02-04].example.org"),
        ("web-root !web01", "web-root/web[02-04].example.org"),
        ("web,web-root & @odd", "web[01,03].example.org,web-root/web[01,03].example.org"),
        ("web,web-root & web-root", "web-root/web[01-04].example.org"),
        ("!web[01-03] web", "web04.example.org"),
        ("* !*-root !web* !cache", "db[1-2]"),
        ("web !future*", "web[01-04].example.org"),
        ("local", "local"),
        ("local,web01", "local,web01.example.org"),
        ("web01,web,web01.example.org", "web[01-04].example.org"),
        ("root@x[1-2]:22", "root@x[1-2]:22"),
        ("ssh:x", "ssh:x"),
        ("root@x1,root@x2 !x1", "root@x2"),
        ("root@web", "root@web"),
        // Hosts without a profile.
        ("zzzzzz", "ssh:zzzzzz"),
        ("other.net", "ssh:other.net"),
        ("other[1-2].net:22", "ssh:other[1-2].net:22"),
        ("10.9.8.7", "ssh:10.9.8.7"),
        ("10.9.8.7:2222", "ssh:10.9.8.7:2222"),
        ("fe80::1", "ssh:[fe80::1]"),
        ("[::1]:22", "ssh:[::1]:22"),
        ("w*b[02-03]", "web[02-03].example.org"),
        ("*-root/w*[1-2]", "web-root/web[01-02].example.org"),
        ("web[01:02]", "web[01-02].example.org"),
    ];
    for (wanted, expected) in table {
        assert_eq!(selected(wanted, None).as_deref(), Ok(expected), "{wanted}");
    }
}

#[test]
fn a_limit_intersects() {
    let table = [
        ("web", "web01", "web01.example.org"),
        ("web-root", "web[01-02]", "web-root/web[01-02].example.org"),
        ("@all", "@odd", "web[01,03].example.org"),
        ("@all", "!@odd", "web[02,04].example.org,db[1-2],cache/db1"),
        ("@all", "web,&web02", "web02.example.org"),
        ("@all", "db2,web04 !db2", "web04.example.org"),
        ("local,web", "local", "local"),
        ("root@a,root@b", "b", "root@b"),
        ("root@a,root@b", "root@a", "root@a"),
    ];
    for (wanted, limit, expected) in table {
        assert_eq!(selected(wanted, Some(limit)).as_deref(), Ok(expected), "{wanted} -l {limit}");
    }
    assert_eq!(selected("web", Some("db*")), Err("no targets match `web` limited to `db*`".into()));
    let unknown = "no profile or host named `wbe01`; did you mean `web01`? \
                   (`ssh:wbe01` connects to a host without a profile)";
    assert_eq!(selected("web", Some("wbe01")), Err(unknown.into()));
}

#[test]
fn errors_say_what_is_wrong() {
    let table = [
        (
            "wbe",
            "no profile or host named `wbe`; did you mean `web`? (`ssh:wbe` connects to a host without a profile)",
        ),
        (
            "web05",
            "no profile or host named `web05`; did you mean `web01`? (`ssh:web05` connects to a host without a profile)",
        ),
        (
            "all",
            "no profile or host named `all`; did you mean `@all`? (`ssh:all` connects to a host without a profile)",
        ),
        ("zz(1)", "`zz(1)`: write ranges in brackets, as in `zz[1]`"),
        ("zz;zz", "no profile or host named `zz;zz`"),
        (
            "db1:22",
            "no profile or host named `db1:22`; did you mean `db1`? (`ssh:db1:22` connects to a host without a profile)",
        ),
        ("other.net:x", "`other.net:x`: the port must be a number from 1 to 65535"),
        ("@al", "no group named `@al`; did you mean `@all`?"),
        ("mem1", "`mem1` is ambiguous; write `mem1.a` or `mem1.b`"),
        ("zz*", "`zz*` matches no profile or host"),
        ("web-root/zz", "no profile or host named `web-root/zz`; did you mean `web-root`?"),
        ("&web", "`&web` has nothing to intersect with; start with an inclusion, e.g. `*,&web`"),
        ("!web", "`!web` has nothing to exclude from; start with an inclusion, e.g. `*,!web`"),
        ("web !web*", "no targets match `web,!web*`"),
        ("@future", "no targets match `@future`"),
        ("@x", "group cycle: @x -> @y -> @x"),
    ];
    for (wanted, message) in table {
        assert_eq!(selected(wanted, None), Err(message.into()), "{wanted}");
    }
}

#[test]
fn every_label_selects_its_own_target() {
    let catalog = catalog();
    let everything = catalog.select(&parse("*,local"), None).unwrap();
    assert_eq!(everything.len(), catalog.entries().len());
    for target in everything {
        assert_eq!(catalog.select(&parse(&target.label), None).unwrap(), [target]);
    }
    for label in ["root@x:22", "ssh:x", "ssh:[::1]:22"] {
        assert_eq!(catalog.select(&parse(label), None).unwrap()[0].label, label);
    }
}

#[test]
fn a_profile_named_local_is_like_any_other() {
    let entries = vec![CatalogEntry::new("local", "local", false)];
    let catalog = Catalog::new(entries, BTreeMap::new());
    assert_eq!(catalog.entries().len(), 1);
    assert_eq!(catalog.select(&parse("*"), None).unwrap()[0].label, "local");
    let implicit = Catalog::new(Vec::new(), BTreeMap::new());
    assert_eq!(implicit.select(&parse("*"), None), Err(TargetError::NoMatch("*".into())));
}

#[test]
fn group_members_are_checked_without_expanding_other_groups() {
    let errors = |text: &str| {
        let found: Vec<String> = catalog().check(&parse(text)).iter().map(TargetError::to_string).collect();
        found
    };
    assert!(errors("@x,web,nothing*,root@x,!web01").is_empty());
    assert_eq!(
        errors("wbe,@al,!wbe"),
        [
            "no profile or host named `wbe`; did you mean `web`? (`ssh:wbe` connects to a host without a profile)",
            "no group named `@al`; did you mean `@all`?",
            "no profile or host named `wbe`; did you mean `web`? (`ssh:wbe` connects to a host without a profile)",
        ]
    );
}

#[test]
fn selections_are_limited() {
    let entries = (0..=MAX_NODES).map(|n| CatalogEntry::new("p", format!("h{n}"), true));
    let catalog = Catalog::new(entries.collect(), BTreeMap::new());
    assert_eq!(catalog.select(&parse("p"), None), Err(TargetError::TooMany("`p`".into())));
    assert_eq!(catalog.select(&parse("p"), Some(&parse("!h0"))).unwrap().len(), MAX_NODES);
}
