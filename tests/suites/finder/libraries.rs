//! The standard libraries of the interpreters of this machine.

use mitogen::modules::{Finder, FinderOptions, ModuleSource, get_child_modules, is_standard};

use super::{output, pythons};

#[test]
fn every_standard_library_module_is_in_the_table() {
    for python in pythons() {
        let told = output(&python.path, include_str!("../../../xtask/src/stdlib_names.py"), &[]);
        let unknown: Vec<&str> = told.lines().filter(|name| !is_standard(name)).collect();
        assert!(told.lines().count() > 200, "{}", python.path.display());
        assert!(unknown.is_empty(), "{}: run `cargo xtask stdlib`: {unknown:?}", python.path.display());
    }
}

#[test]
fn package_members_match_pkgutil() {
    const PROGRAM: &str = "
import os, pkgutil, sys
library = os.path.dirname(os.path.abspath(os.__file__))
for directory, names, files in os.walk(library):
    names[:] = [name for name in names if '-packages' not in name]
    if '__init__.py' in files:
        print('%s %s' % (directory, ' '.join(sorted(m[1] for m in pkgutil.iter_modules([directory])))))
";
    for python in pythons() {
        let told = output(&python.path, PROGRAM, &[]);
        assert!(told.lines().count() > 20, "{}", python.path.display());
        for line in told.lines() {
            let mut words = line.split_whitespace();
            let directory = words.next().unwrap();
            assert_eq!(get_child_modules(directory).unwrap(), words.collect::<Vec<_>>(), "{directory}");
        }
    }
}

#[test]
fn the_standard_library_is_skipped_unless_requested() {
    for python in pythons() {
        let library =
            output(&python.path, "import os; print(os.path.dirname(os.path.abspath(os.__file__)))", &[]);
        let options = FinderOptions::default().path(library.trim());
        let finder = Finder::new(&options).unwrap();
        assert_eq!(finder.find("json").unwrap(), None, "{library}");
        let finder = Finder::new(&options.standard("json")).unwrap();
        let decoder = finder.find("json.decoder").unwrap().unwrap();
        assert!(decoder.path.ends_with("json/decoder.py"), "{}", decoder.path);
        assert_eq!(finder.find("logging").unwrap(), None, "{library}");
    }
}
