//! The graph as a picture of its own: boxes from left to right in the order of work, drawn on computed places.

use super::{
    Graph,
    dot::colors,
    fold::{Box, Folded, depths, fold},
};
use crate::view::{
    plan::{meaning, symbol},
    text,
};
use cloudtik_core::{Needs, plan::Action};
use rust_sugiyama::configure::{Config, CrossingMinimization, RankingType};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

/// Pixels.
const LINE: f64 = 16.0;
const HEIGHT: f64 = 44.0;
const GAP: f64 = 22.0;
const BETWEEN: f64 = 70.0;
const MARGIN: f64 = 24.0;
/// Advance of one column of the 12-pixel monospace text, with room for wider fonts.
const COLUMN: f64 = 7.4;
/// Columns of a name before it is cut.
const LONGEST: usize = 56;
/// Beyond this many boxes and bends, places come from the layers alone: the good layout would take seconds.
const DRAWN_WELL: usize = 900;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    x: f64,
    y: f64,
}

/// Boxes first, then the bends of edges that pass layers; layers are columns.
struct Net {
    layer: Vec<usize>,
    /// Every edge as the places it passes, from box to box.
    ways: Vec<(Vec<usize>, Needs)>,
    boxes: usize,
}

/// Where everything is.
struct Picture<'a> {
    places: &'a [Point],
    widths: &'a [f64],
    columns: &'a [(f64, f64)],
    layer: &'a [usize],
}

impl Picture<'_> {
    fn column(&self, place: usize) -> (f64, f64) {
        self.columns[self.layer[place]]
    }
}

pub fn svg(graph: &Graph) -> String {
    let folded = fold(graph);
    let net = net(&folded);
    let columns = columns(&net, &folded);
    let places = places(&net, &columns);
    let widths: Vec<f64> = folded.boxes.iter().map(width).collect();
    let (mut right, mut bottom) = (0.0f64, 0.0f64);
    for (i, place) in places.iter().enumerate() {
        let (width, height) = widths.get(i).map_or((0.0, 12.0), |w| (*w, HEIGHT));
        right = right.max(place.x + width / 2.0);
        bottom = bottom.max(place.y + height / 2.0);
    }
    let legend = legend(&folded);
    let (width, height) = ((right + MARGIN).max(420.0), bottom + MARGIN + if legend.is_empty() { 0.0 } else { 36.0 });
    let mut out = head(width, height, &folded);
    let picture = Picture { places: &places, widths: &widths, columns: &columns, layer: &net.layer };
    for (way, needs) in &net.ways {
        edge(&mut out, way, *needs, &picture);
    }
    for (this, (place, width)) in folded.boxes.iter().zip(places.iter().zip(&widths)) {
        boxed(&mut out, this, *place, *width);
    }
    if !legend.is_empty() {
        let _ = writeln!(out, "<g transform=\"translate({MARGIN},{:.0})\">{legend}</g>", height - 24.0);
    }
    out + "</svg>\n"
}

fn net(folded: &Folded) -> Net {
    let depth = depths(folded.boxes.len(), &folded.edges);
    let mut net = Net { layer: depth.clone(), ways: Vec::new(), boxes: folded.boxes.len() };
    for ((from, to), needs) in &folded.edges {
        let mut way = vec![*from];
        for layer in depth[*from] + 1..depth[*to] {
            way.push(net.layer.len());
            net.layer.push(layer);
        }
        way.push(*to);
        net.ways.push((way, *needs));
    }
    net
}

/// The left and right side of each layer's column, as wide as its widest box.
fn columns(net: &Net, folded: &Folded) -> Vec<(f64, f64)> {
    let layers = net.layer.iter().max().map_or(0, |l| l + 1);
    let mut widest = vec![0.0f64; layers];
    for (this, layer) in folded.boxes.iter().zip(&net.layer) {
        widest[*layer] = widest[*layer].max(width(this));
    }
    let mut left = MARGIN;
    let column = |wide: f64| {
        let column = (left, left + wide);
        left = column.1 + BETWEEN;
        column
    };
    widest.into_iter().map(column).collect()
}

/// The middle of every box and bend.
fn places(net: &Net, columns: &[(f64, f64)]) -> Vec<Point> {
    let rows = if net.layer.len() <= DRAWN_WELL { arranged(net) } else { stacked(net) };
    let top = rows.iter().copied().fold(f64::INFINITY, f64::min);
    let place = |(row, layer): (&f64, &usize)| Point {
        x: (columns[*layer].0 + columns[*layer].1) / 2.0,
        y: row - top + MARGIN + HEIGHT / 2.0,
    };
    rows.iter().zip(&net.layer).map(place).collect()
}

/// Rows from the layered-graph layout, its parts below each other.
fn arranged(net: &Net) -> Vec<f64> {
    let size = |i: usize| if i < net.boxes { HEIGHT } else { 6.0 };
    let vertices: Vec<(u32, (f64, f64))> = (0..net.layer.len()).map(|i| (index(i), (size(i), 10.0))).collect();
    let steps = net.ways.iter().flat_map(|(way, _)| way.windows(2).map(|w| (index(w[0]), index(w[1]))));
    let steps: Vec<(u32, u32)> = steps.collect();
    let config = Config {
        vertex_spacing: GAP,
        ranking_type: RankingType::Up,
        c_minimization: CrossingMinimization::Median,
        transpose: net.layer.len() < 300,
        ..Config::default()
    };
    let mut rows = vec![0.0; net.layer.len()];
    let mut top = 0.0;
    for (part, ..) in rust_sugiyama::from_vertices_and_edges(&vertices, &steps, &config) {
        let low = part.iter().map(|(i, (y, _))| y - size(*i) / 2.0).fold(f64::INFINITY, f64::min);
        let mut bottom = top;
        for (i, (y, _)) in &part {
            rows[*i] = y - low + top;
            bottom = bottom.max(rows[*i] + size(*i) / 2.0);
        }
        top = bottom + GAP;
    }
    rows
}

fn index(i: usize) -> u32 {
    u32::try_from(i).expect("bounded by DRAWN_WELL")
}

/// Rows in the order of addresses, layer by layer; bends lie between.
fn stacked(net: &Net) -> Vec<f64> {
    let mut next: BTreeMap<usize, f64> = BTreeMap::new();
    let mut rows = Vec::with_capacity(net.layer.len());
    for (i, layer) in net.layer.iter().enumerate() {
        let y = next.entry(*layer).or_insert(0.0);
        rows.push(*y);
        *y += if i < net.boxes { HEIGHT + GAP } else { 6.0 };
    }
    rows
}

fn name(this: &Box) -> String {
    text::fit(&this.name, LONGEST)
}

fn width(this: &Box) -> f64 {
    let columns = text::width(&name(this)) + text::width(&this.times());
    let kind = text::width(&this.kind) + 6;
    columns.max(kind) as f64 * COLUMN + 24.0
}

fn head(width: f64, height: f64, folded: &Folded) -> String {
    let total: usize = folded.boxes.iter().map(|b| b.count).sum();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace\" \
         font-size=\"12\" role=\"img\">\n<title>{}</title>\n\
         <defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"7.5\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
         orient=\"auto\"><path d=\"M0 0.5 L8 4 L0 7.5 z\" fill=\"#8c959f\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        text::plural(total, "resource")
    )
}

fn boxed(out: &mut String, this: &Box, place: Point, width: f64) {
    let (fill, border) = colors(this.action);
    let (left, top) = (place.x - width / 2.0, place.y - HEIGHT / 2.0);
    let mark = this.action.map_or(String::new(), |a| format!("{} ", symbol(a)));
    let full = format!("{}:{}{}", this.scope, this.label(), this.times());
    if this.count > 1 {
        let (x, y) = (left + 4.0, top + 4.0);
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" rx=\"6\" fill=\"{fill}\" stroke=\"{border}\" stroke-opacity=\"0.5\"/>"
        );
    }
    let _ = writeln!(
        out,
        "<g><title>{}</title><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" rx=\"6\" \
         fill=\"{fill}\" stroke=\"{border}\"/><text x=\"{x:.1}\" y=\"{kind_y:.1}\" font-size=\"11\" fill=\"{border}\">{}{}</text>\
         <text x=\"{x:.1}\" y=\"{name_y:.1}\" fill=\"#1f2328\">{}<tspan dx=\"7\" font-weight=\"bold\">{}</tspan></text></g>",
        escape(&full),
        escape(&mark),
        escape(&this.kind),
        escape(&name(this)),
        this.times().trim_start(),
        x = left + 12.0,
        kind_y = top + LINE,
        name_y = top + LINE * 2.0 + 2.0,
    );
}

/// From the right side of one box through the bends to the left side of the other: straight through columns, where boxes
/// are, and curved between them.
fn edge(out: &mut String, way: &[usize], needs: Needs, picture: &Picture<'_>) {
    let half = |i: usize| picture.widths.get(i).map_or(0.0, |w| w / 2.0);
    let (first, last) = (way[0], way[way.len() - 1]);
    let mut path = format!("M{:.1} {:.1}", picture.places[first].x + half(first), picture.places[first].y);
    for step in way.windows(2) {
        let (from, to) = (picture.places[step[0]], picture.places[step[1]]);
        let (right, left) = (picture.column(step[0]).1, picture.column(step[1]).0);
        let reach = ((left - right) / 2.0).abs().max(20.0);
        let (y, to_y) = (from.y, to.y);
        let _ =
            write!(path, " H{right:.1} C{:.1} {y:.1} {:.1} {to_y:.1} {left:.1} {to_y:.1}", right + reach, left - reach);
    }
    let _ = write!(path, " H{:.1}", picture.places[last].x - half(last));
    let dash = if needs == Needs::Created { " stroke-dasharray=\"5 4\"" } else { "" };
    let _ = writeln!(
        out,
        "<path d=\"{path}\" fill=\"none\" stroke=\"#8c959f\" stroke-width=\"1.3\"{dash} marker-end=\"url(#a)\"/>"
    );
}

/// What colours and lines mean, only those in use.
fn legend(folded: &Folded) -> String {
    let actions: BTreeSet<Action> = folded.boxes.iter().filter_map(|b| b.action).collect();
    let (mut out, mut x) = (String::new(), 0.0);
    for action in actions {
        let (fill, border) = colors(Some(action));
        let what = format!("{} {}", symbol(action), meaning(action));
        let _ = write!(
            out,
            "<rect x=\"{x:.0}\" y=\"0\" width=\"12\" height=\"12\" rx=\"3\" fill=\"{fill}\" stroke=\"{border}\"/>\
             <text x=\"{:.0}\" y=\"10.5\" font-size=\"11\" fill=\"#57606a\">{}</text>",
            x + 18.0,
            escape(&what)
        );
        x += 18.0 + text::width(&what) as f64 * 7.0 + 24.0;
    }
    if folded.edges.values().any(|n| *n == Needs::Created) {
        let _ = write!(
            out,
            "<path d=\"M{x:.0} 6 h26\" stroke=\"#8c959f\" stroke-dasharray=\"5 4\"/>\
             <text x=\"{:.0}\" y=\"10.5\" font-size=\"11\" fill=\"#57606a\">needs it created, not ready</text>",
            x + 32.0
        );
    }
    out
}

fn escape(content: &str) -> String {
    let visible = text::visible(content);
    visible.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
