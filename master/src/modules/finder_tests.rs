//! Searches as data: a tree of files, a name, what is found.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use mitogen_core::error::with_causes;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

/// A directory with these files, each with its own path as content.
fn tree(files: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    grow(root.path(), files);
    root
}

fn grow(root: &Path, files: &[&str]) {
    for file in files {
        let path = root.join(file);
        if file.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("# {file}")).unwrap();
        }
    }
}

fn archive(path: &Path, files: &[&str]) {
    let mut writer = ZipWriter::new(fs::File::create(path).unwrap());
    for (index, file) in files.iter().enumerate() {
        let method = [zip::CompressionMethod::Deflated, zip::CompressionMethod::Stored][index % 2];
        writer.start_file(*file, SimpleFileOptions::default().compression_method(method)).unwrap();
        write!(writer, "# {file}").unwrap();
    }
    writer.finish().unwrap();
}

fn finder(paths: &[&Path]) -> Finder {
    let options = paths.iter().fold(FinderOptions::default(), |options, path| options.path(*path));
    Finder::new(&options).unwrap()
}

/// In one line: the path below `root`, the content, and for packages the members.
fn told(source: &dyn ModuleSource, root: &Path, name: &str) -> String {
    let short = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    match source.find(name) {
        Ok(None) => "none".into(),
        Ok(Some(module)) => {
            assert_eq!(module.fullname, name);
            let mut line = short(Path::new(&module.path));
            if module.source.is_empty() {
                line += " namespace";
            }
            if let Some(members) = &module.submodules {
                line += &format!(" [{}]", members.join(" "));
            }
            line
        }
        Err(ModuleError::Extension { path, .. }) => format!("extension {}", short(&path)),
        Err(ModuleError::Bytecode { path, .. }) => format!("bytecode {}", short(&path)),
        Err(error) => with_causes(&error).to_string(),
    }
}

#[track_caller]
fn check(source: &dyn ModuleSource, root: &Path, rows: &[(&str, &str)]) {
    for (name, line) in rows {
        assert_eq!(told(source, root, name), *line, "{name}");
    }
}

const PACKAGES: [&str; 17] = [
    "plain.py",
    "pkg/__init__.py",
    "pkg/a.py",
    "pkg/sub/__init__.py",
    "pkg/sub/deep.py",
    "pkg/space/more/m.py",
    "pkg/data/only.txt",
    "pkg/__pycache__/a.cpython-311.pyc",
    "pkg/fast.cpython-311-x86_64-linux-gnu.so",
    "pkg/both.py",
    "pkg/both.abi3.so",
    "pkg/old.pyc",
    "both/__init__.py",
    "both.py",
    "dir_or_file.py",
    "dir_or_file/x.py",
    "Case.py",
];

const FOUND: [(&str, &str); 24] = [
    ("plain", "plain.py"),
    ("plain.x", "none"),
    ("pkg", "pkg/__init__.py [a both fast old space sub]"),
    ("pkg.a", "pkg/a.py"),
    ("pkg.b", "none"),
    ("pkg.sub", "pkg/sub/__init__.py [deep]"),
    ("pkg.sub.deep", "pkg/sub/deep.py"),
    ("pkg.space", "pkg/space namespace [more]"),
    ("pkg.space.more.m", "pkg/space/more/m.py"),
    ("pkg.fast", "extension pkg/fast.cpython-311-x86_64-linux-gnu.so"),
    ("pkg.both", "pkg/both.py"),
    ("pkg.old", "bytecode pkg/old.pyc"),
    ("both", "both/__init__.py []"),
    ("dir_or_file", "dir_or_file.py"),
    ("dir_or_file.x", "none"),
    ("Case", "Case.py"),
    ("case", "none"),
    ("", "none"),
    (".", "none"),
    ("pkg.", "none"),
    ("pkg..a", "none"),
    ("pkg/a", "none"),
    ("..", "none"),
    ("pkg\0", "none"),
];

#[test]
fn modules_are_found_in_directories() {
    let root = tree(&PACKAGES);
    check(&finder(&[root.path()]), root.path(), &FOUND);
}

#[test]
fn modules_are_found_in_archives() {
    let root = tree(&[]);
    let path = root.path().join("lib.zip");
    archive(&path, &PACKAGES);
    check(&finder(&[&path]), &path, &FOUND);
    let whole = fs::read(&path).unwrap();
    fs::write(root.path().join("app.pyz"), [b"#!/usr/bin/env python3\n", whole.as_slice()].concat()).unwrap();
    let path = root.path().join("app.pyz");
    check(&finder(&[&path]), &path, &FOUND);
    assert_eq!(finder(&[&path]).find("plain").unwrap().unwrap().source, "# plain.py");
    let inner = path.join("pkg/sub");
    check(&finder(&[&inner]), &path, &[("deep", "pkg/sub/deep.py"), ("plain", "none")]);
}

#[test]
fn the_first_path_entry_wins_and_namespaces_are_merged() {
    let root = tree(&["1/m.py", "2/m.py", "1/ns/a.py", "2/ns/b.py", "2/ns/a.py", "1/late/x.py"]);
    grow(root.path(), &["2/late/__init__.py", "3/late.py", "1/legacy/__init__.py", "1/legacy/one.py"]);
    grow(root.path(), &["2/legacy/two.py", "1/closed/__init__.py", "2/closed/two.py"]);
    fs::write(
        root.path().join("1/legacy/__init__.py"),
        "__path__ = __import__('pkgutil').extend_path(__path__, __name__)",
    )
    .unwrap();
    archive(&root.path().join("3.zip"), &["ns/c.py", "other/ns/d.py"]);
    let places = ["1", "2", "3.zip", "3"].map(|name| root.path().join(name));
    let finder = finder(&places.each_ref().map(std::path::PathBuf::as_path));
    let rows = [
        ("m", "1/m.py"),
        ("ns", "1/ns namespace [a b c]"),
        ("ns.a", "1/ns/a.py"),
        ("ns.b", "2/ns/b.py"),
        ("ns.c", "3.zip/ns/c.py"),
        ("late", "2/late/__init__.py []"),
        ("late.x", "none"),
        ("legacy", "1/legacy/__init__.py [one two]"),
        ("legacy.two", "2/legacy/two.py"),
        ("closed", "1/closed/__init__.py []"),
        ("closed.two", "none"),
    ];
    check(&finder, root.path(), &rows);
}

#[test]
fn links_are_followed_and_listings_are_cached() {
    let root = tree(&["real/a.py", "path/b.py"]);
    symlink(root.path().join("real"), root.path().join("path/linked")).unwrap();
    symlink("b.py", root.path().join("path/c.py")).unwrap();
    symlink("nowhere.py", root.path().join("path/gone.py")).unwrap();
    symlink(".", root.path().join("path/round")).unwrap();
    let path = root.path().join("path");
    let finder = finder(&[&path]);
    let rows = [
        ("linked.a", "linked/a.py"),
        ("c", "c.py"),
        ("gone", "none"),
        ("round.round.b", "round/round/b.py"),
        ("later", "none"),
    ];
    check(&finder, &path, &rows);
    grow(&path, &["later.py"]);
    check(&finder, &path, &[("later", "none")]);
}

#[test]
fn resources_are_found() {
    let files = ["pkg/__init__.py", "pkg/a.txt", "pkg/t/b.html", "m.py", "out.txt", "ns/d.txt"];
    let root = tree(&files);
    let zip = root.path().join("all.zip");
    archive(&zip, &files);
    for source in [finder(&[root.path()]), finder(&[&zip])] {
        for (package, name, content) in [
            ("pkg", "a.txt", Some("# pkg/a.txt")),
            ("pkg", "t/b.html", Some("# pkg/t/b.html")),
            ("pkg", "__init__.py", Some("# pkg/__init__.py")),
            ("ns", "d.txt", Some("# ns/d.txt")),
            ("pkg", "t", None),
            ("pkg", "none.txt", None),
            ("pkg", "none/b.html", None),
            ("pkg", "a.txt/x", None),
            ("m", "a.txt", None),
            ("nowhere", "a.txt", None),
        ] {
            let found = source.resource(package, name).unwrap();
            assert_eq!(found.as_deref(), content.map(str::as_bytes), "{package} {name}");
        }
        let listed = |name: &str| source.resource("pkg", name).unwrap().map(|names| names.to_vec());
        let names = String::from_utf8(listed("").unwrap()).unwrap();
        assert!(
            names.lines().any(|name| name == "t/") && names.lines().any(|name| name == "a.txt"),
            "{names}"
        );
        assert_eq!(listed("t/").as_deref(), Some(&b"b.html"[..]));
        assert_eq!(listed("none/"), None);
        for name in
            ["../out.txt", "/etc/passwd", "t/../../out.txt", ".", "../", "//", "t//b.html", "..", "a\0"]
        {
            let error = source.resource("pkg", name).unwrap_err();
            assert!(matches!(error, ModuleError::Outside { .. }), "{name}: {error}");
        }
    }
}

#[test]
fn resources_cannot_leave_the_package_through_links() {
    let root = tree(&["pkg/__init__.py", "pkg/a.txt", "out/secret.txt"]);
    symlink("a.txt", root.path().join("pkg/in.txt")).unwrap();
    symlink("../out/secret.txt", root.path().join("pkg/out.txt")).unwrap();
    symlink("../out", root.path().join("pkg/out")).unwrap();
    let finder = finder(&[root.path()]);
    assert_eq!(finder.resource("pkg", "in.txt").unwrap().unwrap(), "# pkg/a.txt");
    for name in ["out.txt", "out/secret.txt"] {
        assert!(matches!(finder.resource("pkg", name), Err(ModuleError::Outside { .. })), "{name}");
    }
}

#[test]
fn the_library_of_an_interpreter_is_skipped_unless_requested() {
    let root =
        tree(&["lib/os.py", "lib/site.py", "lib/codecs.py", "lib/json/__init__.py", "lib/json/tool.py"]);
    grow(root.path(), &["lib/extra.py", "own/commands.py"]);
    let (lib, own) = (root.path().join("lib"), root.path().join("own"));
    let plain = finder(&[&lib, &own]);
    let rows = [("os", "none"), ("json.tool", "none"), ("extra", "lib/extra.py")];
    check(&plain, root.path(), &rows);
    // The name was standard once, and the module is somebody's own.
    check(&plain, root.path(), &[("commands", "own/commands.py")]);
    let wanted = Finder::new(&FinderOptions::default().path(&lib).standard("json.tool")).unwrap();
    let rows = [("json.tool", "lib/json/tool.py"), ("json", "lib/json/__init__.py [tool]"), ("os", "none")];
    check(&wanted, root.path(), &rows);
}

#[test]
fn modules_are_found_in_virtual_environments() {
    let site = "env/lib/python3.11/site-packages";
    let root = tree(&[&format!("{site}/a.py"), "src/mine.py", "far/other.py", "extra/z.py"]);
    symlink("lib", root.path().join("env/lib64")).unwrap();
    let lines = format!(
        "# a comment\n\nimport os; os.abort()\nimport\tsys\n../../../../src\nnowhere\r\n{}\n",
        root.path().join("far").display()
    );
    fs::write(root.path().join(site).join("dev.pth"), lines).unwrap();
    fs::write(root.path().join(site).join(".hidden.pth"), "../../../../extra\n").unwrap();
    let options = FinderOptions::default().virtual_env(root.path().join("env")).unwrap();
    assert_eq!(options.paths.len(), 3, "{options:?}");
    let finder = Finder::new(&options).unwrap();
    for (name, there) in [("a", true), ("mine", true), ("other", true), ("z", false)] {
        assert_eq!(finder.find(name).unwrap().is_some(), there, "{name}");
    }
    let error = FinderOptions::default().virtual_env(root.path().join("src")).unwrap_err();
    assert!(matches!(error, FinderError::NoSitePackages { .. }), "{error}");
    let error = FinderOptions::default().virtual_env(root.path().join("nowhere")).unwrap_err();
    assert!(matches!(error, FinderError::Missing { .. }), "{error}");
}

#[test]
fn an_environment_can_have_several_interpreters() {
    let root = tree(&["lib/python3.9/site-packages/m.py", "lib/python3.11/site-packages/m.py"]);
    let options = FinderOptions::default().virtual_env(root.path()).unwrap();
    let newest = root.path().join("lib/python3.11/site-packages");
    assert_eq!(options.paths.first(), Some(&newest));
}

#[test]
fn modules_are_found_beside_the_program() {
    let root = tree(&["real/tool.py", "real/helper.py", "bin/", "app/__main__.py", "app/helper.py"]);
    symlink("../real/tool.py", root.path().join("bin/tool")).unwrap();
    archive(&root.path().join("app.pyz"), &["__main__.py", "helper.py"]);
    for program in ["real/tool.py", "bin/tool", "app", "app.pyz"] {
        let options = FinderOptions::default().path(root.path()).program(root.path().join(program)).unwrap();
        assert!(Finder::new(&options).unwrap().find("helper").unwrap().is_some(), "{program}");
    }
    assert!(FinderOptions::default().program(root.path().join("none.py")).is_err());
}

#[test]
fn invalid_paths_are_errors() {
    let root = tree(&["a.txt", "dir/m.py"]);
    let zip = root.path().join("a.zip");
    archive(&zip, &["m.py"]);
    for (path, message) in [
        ("none", "no such file"),
        ("dir/none", "no such file"),
        ("a.zip/none", "no such file"),
        ("a.zip/../none", "no such file"),
        ("a.txt", "neither a directory nor a zip archive"),
        ("a.txt/x", "neither a directory nor a zip archive"),
    ] {
        let error = Finder::new(&FinderOptions::default().path(root.path().join(path))).unwrap_err();
        let error = with_causes(&error).to_string();
        assert!(error.contains(message), "{path}: {error}");
    }
}

#[test]
fn children_of_packages_are_listed() {
    let root = tree(&PACKAGES);
    let zip = root.path().join("a.zip");
    archive(&zip, &PACKAGES);
    for place in [root.path(), &zip] {
        for path in ["pkg", "pkg/__init__.py", "pkg/__init__.pyc"] {
            let names = get_child_modules(place.join(path)).unwrap();
            assert_eq!(names, ["a", "both", "fast", "old", "sub"], "{path}");
        }
    }
    assert!(get_child_modules(root.path().join("none")).is_err());
}

#[test]
fn several_sources_are_searched_in_order() {
    let root = tree(&["1/m.py", "1/x.so", "2/m.py", "2/x.py", "2/p/__init__.py", "2/p/a.txt"]);
    let sources = vec![finder(&[&root.path().join("1")]), finder(&[&root.path().join("2")])];
    let rows = [("m", "1/m.py"), ("x", "extension 1/x.so"), ("p", "2/p/__init__.py []"), ("q", "none")];
    check(&sources, root.path(), &rows);
    assert_eq!(sources.resource("p", "a.txt").unwrap().unwrap(), "# 2/p/a.txt");
}
