//! Virtual environments created by real interpreters.

use std::path::{Path, PathBuf};
use std::process::Command;

use mitogen::modules::{Finder, FinderOptions, ModuleSource};

use super::{output, pythons};

#[test]
fn the_search_path_matches_the_interpreter() {
    let python = pythons().into_iter().rev().find(|python| python.version.0 == 3).expect("a Python 3");
    let root = tempfile::tempdir().unwrap();
    let environment = root.path().join("env");
    let made = Command::new(&python.path).args(["-m", "venv", "--without-pip"]).arg(&environment).status();
    assert!(made.unwrap().success());
    let inner = environment.join("bin/python");
    let site = output(&inner, "import sysconfig; print(sysconfig.get_path('purelib'))", &[]);
    let site = Path::new(site.trim());
    let more = root.path().join("source");
    std::fs::create_dir_all(&more).unwrap();
    std::fs::write(more.join("mine.py"), "").unwrap();
    std::fs::write(site.join("x.pth"), format!("# x\nimport sys\n{}\nnowhere\n", more.display())).unwrap();

    let told = output(&inner, "import sys; print('\\n'.join(sys.path))", &[]);
    let reported: Vec<PathBuf> = told
        .lines()
        .map(PathBuf::from)
        .filter(|path| path.starts_with(root.path()) && path.is_dir())
        .collect();
    let options = FinderOptions::default().virtual_env(&environment).unwrap();
    assert_eq!(options.paths, reported);
    assert!(Finder::new(&options).unwrap().find("mine").unwrap().is_some());
}
