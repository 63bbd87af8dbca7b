//! Measured figures: collects them and prints the table.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::flags::Side;
use crate::root::Result;

/// The column of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    /// A side of the comparison.
    Side(Side),
    /// A physical limit, measured without either side.
    Limit,
}

/// The figures so far: for each name, one value per round.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Names in order of first appearance.
    names: Vec<String>,
    values: BTreeMap<(String, Column), Vec<f64>>,
}

/// Figures that have a physical limit, with the name of that limit.
const LIMITS: [(&str, &str); 4] = [
    ("local.connect_ms", "bare.python_ms"),
    ("local.call_us", "bare.socketpair_us"),
    ("files.ssh64_mib_s", "files.ssh_cat_mib_s"),
    ("link100.ssh_sudo_call_ms", "link100.ssh_true_ms"),
];

impl Figures {
    /// Adds the output of a measuring program: one line of JSON per figure, with `name` and `value`.
    pub(crate) fn add(&mut self, side: Option<Side>, output: &str) -> Result<()> {
        for line in output.lines() {
            let value: Value = serde_json::from_str(line).map_err(|error| format!("{line:?}: {error}"))?;
            let name = value["name"].as_str().ok_or(format!("no name in {line}"))?;
            let number = value["value"].as_f64().ok_or(format!("no value in {line}"))?;
            let column = match side {
                Some(side) if !is_limit(name) => Column::Side(side),
                _ => Column::Limit,
            };
            if !self.names.iter().any(|known| known == name) {
                self.names.push(name.to_owned());
            }
            self.values.entry((name.to_owned(), column)).or_default().push(number);
        }
        Ok(())
    }

    fn of(&self, name: &str, column: Column) -> Option<Summary> {
        self.values.get(&(name.to_owned(), column)).map(|values| Summary::of(values))
    }

    /// The table: medians, spread in percent of the median, and the ratio between the sides.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{:26} {:>18} {:>18} {:>9} {:>18} {:>9}\n",
            "NAME", "UPSTREAM", "OURS", "RATIO", "LIMIT", "OURS/LIM"
        );
        for name in &self.names {
            let upstream = self.of(name, Column::Side(Side::Upstream));
            let ours = self.of(name, Column::Side(Side::Ours));
            let limit_name =
                LIMITS.iter().find(|(figure, _)| figure == name).map_or(&**name, |(_, limit)| limit);
            let limit = self.of(limit_name, Column::Limit);
            let ratio = pair(upstream, ours).map(|(upstream, ours)| better(name, upstream, ours));
            let distance = pair(limit, ours).map(|(limit, ours)| ours / limit);
            text += &format!(
                "{name:26} {:>18} {:>18} {:>9} {:>18} {:>9}\n",
                cell(upstream),
                cell(ours),
                factor(ratio),
                cell(limit),
                factor(distance),
            );
        }
        text + "Medians, and (max - min) in percent of the median. RATIO: above 1, ours is better.\n"
    }

    /// All values, for a file.
    pub(crate) fn json(&self) -> Value {
        let column = |name: &str, column| {
            let values = self.values.get(&(name.to_owned(), column));
            json!({"median": values.map(|values| Summary::of(values).median), "values": values})
        };
        let rows: Vec<Value> = self
            .names
            .iter()
            .map(|name| {
                let (upstream, ours) = (Column::Side(Side::Upstream), Column::Side(Side::Ours));
                let medians = pair(self.of(name, upstream), self.of(name, ours));
                json!({
                    "name": name,
                    "upstream": column(name, upstream),
                    "ours": column(name, ours),
                    "limit": column(name, Column::Limit),
                    "ratio": medians.map(|(upstream, ours)| better(name, upstream, ours)),
                })
            })
            .collect();
        Value::Array(rows)
    }
}

fn is_limit(name: &str) -> bool {
    name.starts_with("bare.") || LIMITS.iter().any(|(_, limit)| *limit == name)
}

/// How many times better ours is. High is good for rates, low for everything else.
fn better(name: &str, upstream: f64, ours: f64) -> f64 {
    if name.ends_with("_per_s") || name.ends_with("_mib_s") { ours / upstream } else { upstream / ours }
}

#[derive(Clone, Copy)]
struct Summary {
    median: f64,
    spread: f64,
}

impl Summary {
    /// Of at least one value.
    fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[half] } else { f64::midpoint(sorted[half - 1], sorted[half]) };
        let width = sorted[sorted.len() - 1] - sorted[0];
        Self { median, spread: if median == 0.0 { 0.0 } else { width / median * 100.0 } }
    }
}

fn pair(one: Option<Summary>, other: Option<Summary>) -> Option<(f64, f64)> {
    Some((one?.median, other?.median))
}

fn cell(summary: Option<Summary>) -> String {
    let Some(Summary { median, spread }) = summary else { return "-".into() };
    let digits = if median >= 1000.0 { 0 } else { 2 };
    format!("{median:.digits$} ±{spread:3.0}%")
}

fn factor(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.2}x"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let mut figures = Figures::default();
        let line = |name: &str, value: f64| json!({"name": name, "value": value}).to_string();
        for (upstream, ours) in [(200.0, 50.0), (300.0, 60.0), (250.0, 55.0)] {
            figures.add(Some(Side::Upstream), &line("local.call_us", upstream)).unwrap();
            figures.add(Some(Side::Ours), &line("local.call_us", ours)).unwrap();
        }
        figures.add(None, &line("bare.socketpair_us", 27.5)).unwrap();
        figures.add(Some(Side::Upstream), &line("local.bulk16_mib_s", 100.0)).unwrap();
        figures.add(Some(Side::Ours), &line("local.bulk16_mib_s", 1000.0)).unwrap();
        figures.add(Some(Side::Upstream), &line("link100.ssh_true_ms", 1200.0)).unwrap();
        figures
    }

    #[test]
    fn a_ratio_above_one_is_always_better() {
        let table = figures().table();
        let row = |name: &str| {
            let row = table.lines().find(|line| line.starts_with(name)).unwrap();
            row.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let call = row("local.call_us");
        assert_eq!(call[1..3], ["250.00", "±"], "{call:?}");
        assert!(call.contains(&"4.55x".to_owned()) && call.contains(&"2.00x".to_owned()), "{call:?}");
        assert!(row("local.bulk16_mib_s").contains(&"10.00x".to_owned()));
        // Printed by a side, but a limit all the same.
        assert_eq!(row("link100.ssh_true_ms")[1..4], ["-", "-", "-"]);
        let json = figures().json();
        assert_eq!(json[0]["upstream"]["values"], json!([200.0, 300.0, 250.0]));
        assert_eq!(json[0]["ours"]["median"], json!(55.0));
    }

    #[test]
    fn lines_that_are_no_figures_are_refused() {
        for line in ["hello", "{\"name\": \"x\"}", "{\"value\": 1}", "{\"name\": \"x\", \"value\": \"fast\"}"]
        {
            assert!(Figures::default().add(None, line).is_err(), "{line}");
        }
    }
}
