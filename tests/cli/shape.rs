//! What holds for all output: width, colours, closed pipes.

use crate::bench::{Bench, ran};
use std::{io::Read, process::Stdio};

#[test]
fn nothing_is_wider_than_the_terminal_and_nothing_is_coloured() {
    let bench = Bench::new();
    bench.write("bad/bad.yaml", &format!("workspace_name: demo\nprovider:\n  type: local\n  {}: 1\n", "x".repeat(100)));
    bench.must("apply . -y");
    for columns in ["80", "60", "120"] {
        for line in [
            "plan . --destroy",
            "plan . --replace instance.head",
            "validate bad",
            "status cluster.yaml",
            "info cluster.yaml",
            "workspace info workspace.yaml",
            "state list",
            "history cluster.yaml",
            "graph .",
        ] {
            let args: Vec<&str> = line.split(' ').collect();
            let ran = ran(bench.command(&args).env("COLUMNS", columns).output().unwrap());
            for text in [&ran.stdout, &ran.stderr] {
                assert!(!text.contains('\u{1b}'), "{line} is coloured: {text}");
                let mut lines = text.lines().filter(|l| !is_to_copy(l));
                let wide = lines.find(|l| l.chars().count() > columns.parse().unwrap());
                assert_eq!(wide, None, "{line} at {columns}");
            }
        }
    }
}

/// Colours are asked for, and then NO_COLOR and `--no-color` win.
#[test]
fn colours_say_nothing_that_words_do_not() {
    let bench = Bench::new();
    let plan = |args: &[&str], no_color: &str| {
        let mut command = bench.command(&["plan", "."]);
        ran(command.args(args).env("CLICOLOR_FORCE", "1").env("NO_COLOR", no_color).output().unwrap()).stdout
    };
    let coloured = plan(&[], "");
    assert!(coloured.contains("\u{1b}["), "{coloured}");
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plan(&[], "1"));
    assert_eq!(plan(&["--no-color"], ""), plan(&[], "1"));
}

/// A command that `info` gives to be copied: never broken.
fn is_to_copy(line: &str) -> bool {
    line.starts_with("  ") && (line.contains("  cloudtik ") || line.contains("  ssh "))
}

/// As `cloudtik … | head -1`: the reader goes after a line.
#[test]
fn a_reader_that_goes_is_not_an_error() {
    let bench = Bench::new();
    for args in [
        &["plan", "."][..],
        &["schema", "cluster"],
        &["graph", ".", "--format", "svg"],
        &["--help"],
        &["completions", "bash"],
    ] {
        let mut child = bench.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut first).unwrap();
        drop(stdout);
        let ran = ran(child.wait_with_output().unwrap());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn a_reader_that_is_gone_from_the_start_is_not_an_error() {
    let bench = Bench::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = ran(bench.command(&["plan", "."]).stdout(writer).stderr(Stdio::piped()).output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}
