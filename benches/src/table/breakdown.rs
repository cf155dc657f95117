//! The functions in which ours and the floor spend different numbers of instructions.

use std::{collections::BTreeMap, io};

use login_benches::counts::{self, REQUESTS};
use serde_json::{Value, json};

/// The contenders and scenarios that are compared with the floor.
const SCENARIOS: [(&str, &str); 8] = [
    ("readme", "public"),
    ("readme", "refused"),
    ("readme", "protected"),
    ("readme", "log_in"),
    ("readme", "log_out"),
    ("readme_cookie", "protected"),
    ("readme_cookie", "log_in"),
    ("ours", "protected"),
];
/// The number of functions in each table.
const FUNCTIONS: usize = 25;

pub(crate) fn measure() -> io::Result<Value> {
    let mut measured = serde_json::Map::new();
    for (contender, scenario) in SCENARIOS {
        let ours = by_function(contender, scenario)?;
        let floor = by_function("floor", scenario)?;
        let mut more: Vec<_> = ours
            .iter()
            .map(|(name, &now)| {
                (
                    name.clone(),
                    now,
                    floor.get(name).copied().unwrap_or_default(),
                )
            })
            .chain(
                floor
                    .iter()
                    .filter(|(name, _)| !ours.contains_key(*name))
                    .map(|(name, &floor)| (name.clone(), 0, floor)),
            )
            .collect();
        more.sort_by_key(|(name, now, floor)| (-(now.abs_diff(*floor) as i64), name.clone()));
        let functions: Vec<_> = more
            .into_iter()
            .take(FUNCTIONS)
            .map(|(name, now, floor)| json!({ "function": name, "ours": now, "floor": floor }))
            .collect();
        measured.insert(format!("{contender}, {scenario}"), functions.into());
    }
    Ok(Value::Object(measured))
}

/// The instructions of one request by function, without those of called functions. A generic function
/// counts once for all its types.
fn by_function(contender: &str, scenario: &str) -> io::Result<BTreeMap<String, u64>> {
    let profile = counts::profile(contender, scenario)?;
    let mut costs: BTreeMap<String, u64> = BTreeMap::new();
    for (function, _, instructions) in counts::own_costs(&profile) {
        *costs.entry(short(function)).or_default() += instructions;
    }
    costs.values_mut().for_each(|cost| *cost /= REQUESTS);
    Ok(costs)
}

/// The name of a function without its type arguments.
fn short(name: &str) -> String {
    let mut depth = 0_u32;
    let mut short = String::new();
    let name = name.replace("->", "");
    for (at, c) in name.char_indices() {
        match c {
            // Keeps the type that an implementation is for.
            '<' if at == 0 => {}
            '<' => depth += 1,
            '>' if depth > 0 => depth -= 1,
            c if depth == 0 => short.push(c),
            _ => {}
        }
    }
    short
        .replace("::{{closure}}", "")
        .replace("::{closure#0}", "")
        .trim_end_matches("'2")
        .to_owned()
}
