//! What differs from run to run, by name.

use regex::Regex;
use std::sync::LazyLock;

type Filter = (Regex, &'static str);

static STEP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:create|update|delete|adopt|forget|await) .*?(?: ×(\d+))?  \[ELAPSED\]$").unwrap()
});

static HEADING: LazyLock<Regex> = LazyLock::new(|| Regex::new("^[A-Z]{4,} {2,}[A-Z]").unwrap());
static GAP: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(\S) {2,}").unwrap());

static FILTERS: LazyLock<Vec<Filter>> = LazyLock::new(|| {
    let filters = [
        // Steps that take long are told of while they run; on a busy machine any does.
        ("what runs", r"(?m)^(?:start  |wait   ).*\n(?: {9}.*\n)*", ""),
        ("elapsed", r"\b\d+\.\d+s\b", "[ELAPSED]"),
        ("time of day", r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z", "[TIME]"),
        ("when damage was found", r"\.damaged-\d+T\d+Z", ".damaged-[TIME]"),
        // An object that was not ready at once has an entry more.
        ("entries of a journal", r"whole up to entry \d+;", "whole up to entry [N];"),
        ("short digest", r"\bdigest `[0-9a-f]{12}`", "digest `[DIGEST]`"),
        ("providers of the build", r"this build's providers \([a-z, ]+\)", "this build's providers ([PROVIDERS])"),
        ("bridge", r#""br\d+""#, "\"br[N]\""),
        ("command for OpenSSH", r"(  by SSH +)ssh .*", "$1[SSH]"),
        ("owner's user and machine", r"\bada@\S+", "ada@[HOST]"),
        ("loopback network", r"\b127\.\d+\.(\d+)\.\d+\b", "127.[N].$1.[N]"),
        ("loopback address, cut short", r"\b127\.[0-9.]*…", "127.[N]…"),
        ("number of an object", r"(demo/bare/[a-z0-9-]+)@\d+", "$1@[N]"),
    ];
    filters.map(|(_, pattern, shown)| (Regex::new(pattern).unwrap(), shown)).into()
});

/// The text with everything replaced that no two runs share.
pub fn filter(text: &str, folder: &str) -> String {
    let stable = text.replace(folder, "[DIR]");
    let stable = FILTERS.iter().fold(stable, |text, (pattern, shown)| pattern.replace_all(&text, *shown).into_owned());
    steps(&columns(&stable))
}

/// Columns are as wide as what was replaced in them: wherever they follow, two spaces stand between them.
fn columns(text: &str) -> String {
    let varies = |line: &str| line.contains("[TIME]") || line.contains("127.[N].") || line.contains("[DIR]");
    let mut out = String::new();
    for table in text.split_inclusive("\n\n") {
        let is_table = table.lines().any(|l| HEADING.is_match(l)) && table.lines().any(varies);
        match is_table {
            true => out.push_str(&GAP.replace_all(table, "$1  ")),
            false => out.push_str(table),
        }
    }
    out
}

/// Steps run in parallel and end in any order: those that end one after the other become one line that counts them.
fn steps(text: &str) -> String {
    let mut out = String::new();
    let mut count = 0;
    for line in text.lines().chain([""]) {
        if let Some(step) = STEP.captures(line) {
            count += step.get(1).map_or(1, |times| times.as_str().parse().unwrap());
            continue;
        }
        if count > 0 {
            out.push_str(&format!("[{count} STEPS]\n"));
            count = 0;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}
