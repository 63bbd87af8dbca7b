//! Folding names into node sets.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::nodeset::MAX_DIGITS;

/// The width that a number is padded to (0 for none) and its value, in the order that makes ranges
/// contiguous.
type Number = (usize, u64);

/// Names that differ only in their numbers.
struct Family {
    /// The text around the numbers, always one item more than there are numbers.
    texts: Vec<String>,
    /// The numbers of each name, as written.
    members: Vec<Vec<String>>,
}

/// Writes many names as node sets, joined by commas: `web[01-03],db1`. Names that differ only in their
/// numbers are grouped; groups are in the order of their first name, numbers in ascending order, and
/// repeated names are written once.
///
/// [`expand`](super::expand) of the parts gives the same names, unless a name contains a bracket or a
/// comma: such names are written unchanged.
///
/// ```
/// use mitogen_inventory::targets::fold;
///
/// assert_eq!(fold(["web01", "web03", "db1", "web02"]), "web[01-03],db1");
/// ```
pub fn fold<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    let mut families: Vec<Family> = Vec::new();
    let mut index: HashMap<Vec<String>, usize> = HashMap::new();
    for name in names {
        let (texts, numbers) = split(name.as_ref());
        let at = *index.entry(texts.clone()).or_insert_with(|| {
            families.push(Family { texts, members: Vec::new() });
            families.len() - 1
        });
        families[at].members.push(numbers);
    }
    let terms: Vec<String> = families.iter().flat_map(fold_family).collect();
    terms.join(",")
}

/// Splits a name into the text around its numbers, and the numbers.
fn split(name: &str) -> (Vec<String>, Vec<String>) {
    if name.contains(['[', ']', ',']) {
        return (vec![name.to_owned()], Vec::new());
    }
    let (mut texts, mut numbers) = (vec![String::new()], Vec::new());
    let mut rest = name;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let digits = rest[start..].bytes().take_while(u8::is_ascii_digit).count();
        let last = texts.len() - 1;
        if digits > MAX_DIGITS {
            texts[last].push_str(&rest[..start + digits]);
        } else {
            texts[last].push_str(&rest[..start]);
            numbers.push(rest[start..start + digits].to_owned());
            texts.push(String::new());
        }
        rest = &rest[start + digits..];
    }
    let last = texts.len() - 1;
    texts[last].push_str(rest);
    (texts, numbers)
}

fn fold_family(family: &Family) -> Vec<String> {
    let dimensions = family.texts.len() - 1;
    if dimensions == 0 {
        return family.texts.clone();
    }
    let padded: Vec<BTreeSet<usize>> = (0..dimensions)
        .map(|d| {
            family.members.iter().map(|numbers| padding(&numbers[d])).filter(|width| *width > 0).collect()
        })
        .collect();
    // Every name is a box with one number per dimension. Boxes that differ in one dimension only are
    // joined, dimension by dimension. Boxes never overlap, so the set of names does not change.
    let mut boxes: BTreeSet<Vec<BTreeSet<Number>>> = family
        .members
        .iter()
        .map(|numbers| {
            numbers
                .iter()
                .zip(&padded)
                .map(|(digits, widths)| BTreeSet::from([number(digits, widths)]))
                .collect()
        })
        .collect();
    for d in (0..dimensions).rev() {
        let mut joined: BTreeMap<Vec<BTreeSet<Number>>, BTreeSet<Number>> = BTreeMap::new();
        for mut sides in boxes {
            let side = std::mem::take(&mut sides[d]);
            joined.entry(sides).or_default().extend(side);
        }
        boxes = joined
            .into_iter()
            .map(|(mut sides, side)| {
                sides[d] = side;
                sides
            })
            .collect();
    }
    boxes.iter().map(|sides| write_box(&family.texts, sides)).collect()
}

fn write_box(texts: &[String], sides: &[BTreeSet<Number>]) -> String {
    let mut written = texts[0].clone();
    for (side, text) in sides.iter().zip(&texts[1..]) {
        written.push_str(&write_side(side));
        written.push_str(text);
    }
    written
}

fn write_side(side: &BTreeSet<Number>) -> String {
    let mut runs: Vec<(usize, u64, u64)> = Vec::new();
    for &(width, value) in side {
        match runs.last_mut() {
            Some((same, _, last)) if *same == width && *last + 1 == value => *last = value,
            _ => runs.push((width, value, value)),
        }
    }
    let written: Vec<String> = runs
        .iter()
        .map(|&(width, first, last)| {
            if first == last { format!("{first:0width$}") } else { format!("{first:0width$}-{last:0width$}") }
        })
        .collect();
    if side.len() == 1 { written.join(",") } else { format!("[{}]", written.join(",")) }
}

/// The width that the digits are padded to, 0 if they have no leading zero.
fn padding(digits: &str) -> usize {
    if digits.len() > 1 && digits.starts_with('0') { digits.len() } else { 0 }
}

/// Parses the digits. `10` fits both `08,09,10` and `9,10,11`, so digits without a leading zero get the
/// largest padding of the other names that does not change them.
fn number(digits: &str, widths: &BTreeSet<usize>) -> Number {
    let width = match padding(digits) {
        0 => widths.range(..=digits.len()).next_back().copied().unwrap_or(0),
        width => width,
    };
    // `split` treats at most MAX_DIGITS digits as a number.
    (width, digits.parse().expect("at most 18 digits fit an u64"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::expand;

    #[test]
    fn names_fold() {
        let table: &[(&[&str], &str)] = &[
            (&[], ""),
            (&["web"], "web"),
            (&["web1"], "web1"),
            (&["web1", "web1"], "web1"),
            (&["web01", "web02", "web03"], "web[01-03]"),
            (&["web3", "web1", "web2"], "web[1-3]"),
            (&["web1", "web3", "web4"], "web[1,3-4]"),
            (&["web08", "web09", "web10"], "web[08-10]"),
            (&["web9", "web10"], "web[9-10]"),
            (&["web099", "web100"], "web[099-100]"),
            (&["web99", "web100"], "web[99-100]"),
            (&["web01", "web1"], "web[1,01]"),
            (&["web01.a", "web02.a", "db1"], "web[01-02].a,db1"),
            (&["db1", "web01", "db2"], "db[1-2],web01"),
            (&["n1.x1", "n1.x2", "n2.x1", "n2.x2"], "n[1-2].x[1-2]"),
            (&["n1.x1", "n2.x2"], "n1.x1,n2.x2"),
            (&["n1.x1", "n1.x2", "n2.x1"], "n1.x[1-2],n2.x1"),
            (&["10.0.0.1", "10.0.0.2", "10.0.1.1"], "10.0.0.[1-2],10.0.1.1"),
            (&["web/web01", "web/web02"], "web/web[01-02]"),
            (&["a", "b"], "a,b"),
            (&["x[1]", "x[2]"], "x[1],x[2]"),
            (
                &["id1234567890123456789012", "id1234567890123456789013"],
                "id1234567890123456789012,id1234567890123456789013",
            ),
        ];
        for (names, folded) in table {
            assert_eq!(fold(*names), *folded, "{names:?}");
        }
    }

    /// A small random number generator, so that a failure can be reproduced from its seed.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % limit
        }

        fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
            from[usize::try_from(self.below(from.len() as u64)).unwrap()]
        }

        fn name(&mut self) -> String {
            let mut name = String::new();
            for _ in 0..=self.below(3) {
                name.push_str(self.pick(&["web", "db", "-", ".x", "é", "/", ""]));
                let width = usize::try_from(self.below(4)).unwrap();
                let limit = [12, 120][usize::try_from(self.below(2)).unwrap()];
                name.push_str(&format!("{:0width$}", self.below(limit)));
            }
            name.push_str(self.pick(&["", ".example.org", "b"]));
            name
        }
    }

    /// Splits at the commas outside of brackets.
    fn terms(folded: &str) -> Vec<String> {
        let (mut terms, mut depth) = (vec![String::new()], 0);
        for c in folded.chars() {
            depth += i32::from(c == '[') - i32::from(c == ']');
            if c == ',' && depth == 0 {
                terms.push(String::new());
            } else {
                terms.last_mut().unwrap().push(c);
            }
        }
        terms
    }

    #[test]
    fn folding_and_expanding_gives_the_same_names() {
        for seed in 1..=2_000_u64 {
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let names: BTreeSet<String> = (0..=random.below(40)).map(|_| random.name()).collect();
            let folded = fold(&names);
            let expanded: Vec<String> =
                terms(&folded).iter().flat_map(|term| expand(term).unwrap()).collect();
            let unique: BTreeSet<String> = expanded.iter().cloned().collect();
            assert_eq!(unique.len(), expanded.len(), "seed {seed}: a name occurs twice in {folded}");
            assert_eq!(unique, names, "seed {seed}: {folded}");
        }
    }

    #[test]
    fn a_full_product_folds_into_one_term_in_any_order() {
        for seed in 1..=200_u64 {
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let (a, b) = (random.below(12) + 2, random.below(12) + 2);
            let set = format!("n[0-{a}].x[01-{:02}].y", b + 10);
            let mut names = expand(&set).unwrap();
            for i in (1..names.len()).rev() {
                names.swap(i, usize::try_from(random.below(i as u64 + 1)).unwrap());
            }
            assert_eq!(fold(&names), set, "seed {seed}");
        }
    }
}
