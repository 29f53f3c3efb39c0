//! The graph in its four forms.

use crate::bench::Bench;

#[test]
fn the_graph_is_drawn_in_four_forms() {
    let mut bench = Bench::new();
    bench.run("graph .");
    bench.run("graph . --format dot");
    bench.run("graph . --format mermaid");
    bench.compare("graph");
    let svg = bench.must("graph . --format svg").stdout;
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
    assert!(svg.contains("nat.main"), "{svg}");
}

#[test]
fn a_graph_without_changes_shows_everything() {
    let bench = Bench::new();
    bench.must("apply workspace.yaml -y");
    assert!(bench.must("graph workspace.yaml").stdout.contains("= nat.main"));
}
