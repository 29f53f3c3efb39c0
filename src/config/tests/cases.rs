//! Diagnostics as pictures: each `cases/NAME.yaml` (or folder `cases/NAME/`) is loaded, and what is said about it must be
//! what `cases/NAME.txt` holds. `UPDATE_CASES=1` writes the texts anew: read every changed line before keeping it.
//!
//! A folder holds documents, and templates in `templates/`. A first line `# plan` asks for what `plan` would say instead
//! of `validate`.

use cloudtik_config::{LoadOptions, Purpose, load};
use cloudtik_core::{Diagnostic, Origin, Severity};
use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

fn show(diagnostics: &[Diagnostic]) -> String {
    let place = |o: &Origin| o.to_string().replace("tests/cases/", "");
    let mut out = String::new();
    for d in diagnostics {
        let severity = if d.severity == Severity::Error { "error" } else { "warning" };
        let origin = d.origin.as_ref().map(|o| format!("{} ({})", place(o), o.length)).unwrap_or_default();
        writeln!(out, "{severity}[{}] {origin} {}", d.id, d.summary).expect("text");
        if !d.detail.is_empty() {
            writeln!(out, "    {}", d.detail.replace("tests/cases/", "")).expect("text");
        }
        for (origin, what) in &d.related {
            writeln!(out, "    {}: {what}", place(origin)).expect("text");
        }
        for hint in &d.hints {
            writeln!(out, "    hint: {hint}").expect("text");
        }
    }
    out
}

fn run(path: &Path) -> String {
    let first = if path.is_dir() { path.join("cluster.yaml") } else { path.to_path_buf() };
    let plan = std::fs::read_to_string(first).is_ok_and(|text| text.starts_with("# plan"));
    let options = LoadOptions {
        template_dirs: path.is_dir().then(|| path.join("templates")).into_iter().collect(),
        runtimes: ["spark".to_string()].into(),
        providers: ["local".to_string()].into(),
        overrides: Vec::new(),
        purpose: if plan { Purpose::Plan } else { Purpose::Validate },
    };
    match load(&[path.to_path_buf()], &options) {
        Ok(loaded) => show(&loaded.warnings) + "accepted\n",
        Err(problems) => show(&problems.diagnostics),
    }
}

#[test]
fn every_case_says_what_its_picture_shows() {
    let mut paths: Vec<PathBuf> = std::fs::read_dir("tests/cases")
        .expect("the cases")
        .map(|entry| entry.expect("a case").path())
        .filter(|path| path.extension().is_none_or(|e| e != "txt"))
        .collect();
    paths.sort();
    assert!(paths.len() > 40, "the cases are there");
    let mut wrong = String::new();
    for path in paths {
        let picture = path.with_extension("txt");
        let said = run(&path);
        if std::env::var_os("UPDATE_CASES").is_some() {
            std::fs::write(&picture, &said).expect("written");
        }
        let wanted = std::fs::read_to_string(&picture).unwrap_or_default();
        if said != wanted {
            writeln!(wrong, "== {}\n-- wanted\n{wanted}-- said\n{said}", path.display()).expect("text");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
