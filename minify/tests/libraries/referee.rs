//! Tests the comparison itself: `driver.py` must detect differences.

use std::fs;

use crate::compared::ask;

/// Differences that a minifier could introduce, and results without one.
#[test]
fn the_driver_detects_differences() {
    let rows = [
        ("x = 1\n", "x=1", "same"),
        ("'doc'\ndef f():\n  'doc'\nx\n", "\ndef f():\n pass\nx", "same"),
        ("x = 1\n", "x=2", "line 1"),
        ("x = 1\ny = 2\n", "x=1\n\ny=2", "in line 2 and in line 3"),
        ("x = (1,\n  2)\n", "x=(1,2)", "in line 2 and in line 1"),
        ("f(a\n  ,b)\n", "f(a,b)", "in line 2 and in line 1"),
        ("x = 1\n", "x = '1'", "line 1"),
        ("x = u'a\\nb'\n", "x = u'ab'", "line 1"),
        ("def f():\n  x\n  y\n", "def f():\n x\ny", "line 0"),
        ("if x:\n  y\nz\n", "if x:\n y\n z", "line 0"),
        ("x = 360\n", "x = 361", "line 1"),
        ("x = 1\n", "x = (", "not read again: "),
        ("x = (\n", "x = 1", "refused "),
    ];
    let directory = tempfile::tempdir().unwrap();
    for python in crate::supported() {
        let pairs: Vec<_> = rows
            .iter()
            .enumerate()
            .map(|(number, (before, after, _))| {
                let file = directory.path().join(format!("{number}.py"));
                fs::write(&file, before).unwrap();
                (file, format!("+{after}").into_bytes())
            })
            .collect();
        let verdicts = ask(&python, pairs);
        assert_eq!(verdicts.len(), rows.len());
        for ((before, after, expected), verdict) in rows.iter().zip(verdicts) {
            let (_, verdict) = verdict.split_once('\t').unwrap();
            assert!(verdict.contains(expected), "{before:?} and {after:?}: {verdict}");
        }
    }
}
