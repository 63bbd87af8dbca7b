//! Which modules may be sent. Prefixes match whole components of a dotted name.

/// Which modules are always served by the master, and which never.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportPolicy {
    /// If not empty, only these modules are sent, and they replace those of the remote host.
    pub overrides: Vec<String>,
    /// Modules that are never sent.
    pub blocks: Vec<String>,
}

/// Modules that belong to one implementation or platform, and are never sent.
const UNSUITABLE: [&str; 5] = ["__builtin__", "builtins", "msvcrt", "org", "thread"];

impl ImportPolicy {
    /// Whether `overrides` contains the module or one of its packages.
    pub fn overrides(&self, fullname: &str) -> bool {
        matches(&self.overrides, fullname)
    }

    /// Why the module may not be sent, with the text that upstream Mitogen uses.
    pub fn refusal(&self, fullname: &str) -> Option<String> {
        let why = if !self.overrides.is_empty() && !self.overrides(fullname) {
            "it's not in the overrides list"
        } else if matches(&self.blocks, fullname) {
            "it's in the blocks list"
        } else if UNSUITABLE.iter().any(|prefix| covers(prefix, fullname)) {
            "it's e.g. binary, legacy, part of stdlib"
        } else {
            return None;
        };
        Some(format!("Mitogen won't serve {fullname}, {why}"))
    }
}

fn matches(prefixes: &[String], fullname: &str) -> bool {
    prefixes.iter().any(|prefix| covers(prefix, fullname))
}

fn covers(prefix: &str, fullname: &str) -> bool {
    fullname.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_at_dots() {
        let policy = |overrides: &[&str], blocks: &[&str]| ImportPolicy {
            overrides: overrides.iter().map(|&name| name.to_owned()).collect(),
            blocks: blocks.iter().map(|&name| name.to_owned()).collect(),
        };
        let rows = [
            (policy(&[], &[]), "app", None),
            (policy(&["app"], &[]), "app.main", None),
            (policy(&["app"], &[]), "apple", Some("not in the overrides list")),
            (policy(&[], &["app.secret"]), "app.secret.keys", Some("in the blocks list")),
            (policy(&[], &["app.secret"]), "app.secretary", None),
            (policy(&["app"], &["app.x"]), "app.x", Some("in the blocks list")),
            (policy(&[], &[]), "builtins", Some("part of stdlib")),
            (policy(&[], &[]), "org.python.core", Some("part of stdlib")),
            (policy(&[], &[]), "organizer", None),
        ];
        for (policy, name, expected) in rows {
            let refusal = policy.refusal(name);
            assert_eq!(refusal.is_some(), expected.is_some(), "{policy:?} {name}: {refusal:?}");
            if let (Some(refusal), Some(expected)) = (refusal, expected) {
                assert!(refusal.contains(expected) && refusal.contains(name), "{refusal}");
            }
        }
    }
}
