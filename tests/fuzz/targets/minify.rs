//! The minifier never panics, and minifying its output again does not change it.
#![no_main]

use mitogen_minify::minimize_source;

libfuzzer_sys::fuzz_target!(|source: &[u8]| {
    let Ok(minimized) = minimize_source(source) else { return };
    let again = minimize_source(&minimized).expect("the result is a source");
    assert!(again == minimized, "{}\n{}", minimized.escape_ascii(), again.escape_ascii());
});
