//! Patterns of names: `*` for any text, `?` for one character.

/// Whether `name` matches `pattern`. It takes at most the product of their lengths in time.
///
/// ```
/// use mitogen_core::glob::glob;
///
/// assert!(glob("web*.example.org", "web01.example.org"));
/// assert!(!glob("web?", "web01"));
/// ```
pub fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to continue after a mismatch: behind the last star, and the first character that the star has
    // not matched yet.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p + 1, n));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == name[n]) {
            (p, n) = (p + 1, n + 1);
        } else if let Some((behind, matched)) = star {
            star = Some((behind, matched + 1));
            (p, n) = (behind, matched + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn globs_match() {
        let table = [
            ("*", "", true),
            ("*", "web", true),
            ("web*", "web", true),
            ("web*", "we", false),
            ("w?b", "web", true),
            ("w?b", "wb", false),
            ("*01*", "web01.example.org", true),
            ("*.org", "web01.example.org", true),
            ("*.org", "web01.example.com", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("é?", "éa", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(glob(pattern, name), expected, "{pattern} {name}");
        }
    }
}
