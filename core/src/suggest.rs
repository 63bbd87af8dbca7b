//! Suggestions for misspelt names.

/// The candidate nearest to `typed`, if one is close enough: at most one edit per three letters, where swapping
/// two neighbours is one edit and case does not count.
pub fn did_you_mean<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = typed.to_lowercase().chars().collect();
    let allowed = (wanted.len() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let letters: Vec<char> = candidate.to_lowercase().chars().collect();
        if letters.len().abs_diff(wanted.len()) > allowed {
            continue;
        }
        let edits = distance(&wanted, &letters);
        // A name of one or two letters is close to every name of its length, so only its case may differ.
        let close = edits <= allowed && edits < wanted.len().max(letters.len()).max(2) - 1 || edits == 0;
        if close && candidate != typed && best.is_none_or(|(least, _)| edits < least) {
            best = Some((edits, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Optimal string alignment: insertions, deletions, replacements, swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(x != y);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn names_within_the_edit_limit_are_suggested() {
        let names = ["username", "hostname", "port", "identity_file", "su", "web"];
        let table = [
            ("usrname", Some("username")),
            ("user_name", Some("username")),
            ("hostnmae", Some("hostname")),
            ("Port", Some("port")),
            ("prot", Some("port")),
            ("identityfile", Some("identity_file")),
            ("wbe", Some("web")),
            ("db", None),
            ("xx", None),
            ("become", None),
            ("username", None),
        ];
        for (typed, expected) in table {
            assert_eq!(did_you_mean(typed, names), expected, "{typed}");
        }
    }

    #[test]
    fn the_nearest_name_is_suggested() {
        assert_eq!(did_you_mean("webs1", ["webs", "webs11", "webs2"]), Some("webs"));
        assert_eq!(did_you_mean("passwrd_x", ["password", "password_x"]), Some("password_x"));
    }
}
