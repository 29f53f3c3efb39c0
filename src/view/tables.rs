//! Tables and key-value blocks that fit the terminal.

use super::{
    page::{Line, Look, Page, Paint, Wrap},
    text,
};
use comfy_table::{ColumnConstraint, ContentArrangement, Width};

/// Rows under headings, without lines between them. Columns that are empty in every row are left out.
#[derive(Clone, Debug)]
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
    /// What stands in for a table without rows.
    empty: String,
}

impl Table {
    pub fn new<S: Into<String>>(headings: impl IntoIterator<Item = S>) -> Self {
        Table { headings: headings.into_iter().map(Into::into).collect(), rows: Vec::new(), empty: String::new() }
    }

    pub fn or_empty(mut self, text: &str) -> Self {
        self.empty = text.into();
        self
    }

    /// Missing cells are empty, surplus ones dropped.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.headings.len(), String::new());
        self.rows.push(cells);
    }

    /// The table as text, ending in a line feed; long cells wrap inside their column.
    pub fn render(&self, look: &Look<'_>) -> String {
        if self.rows.is_empty() {
            let mut page = Page::new(look);
            if !self.empty.is_empty() {
                page.line(&Line::new().plain(&*self.empty), 0);
            }
            return page.finish();
        }
        let used: Vec<usize> =
            (0..self.headings.len()).filter(|c| self.rows.iter().any(|r| !r[*c].is_empty())).collect();
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(look.width).unwrap_or(u16::MAX));
        table.set_header(used.iter().map(|c| self.headings[*c].to_uppercase()));
        for row in &self.rows {
            table.add_row(used.iter().map(|c| text::visible(&look.clean(&row[*c])).into_owned()));
        }
        self.narrow(&mut table, &used, look.width);
        paint_heading(&table.to_string(), look)
    }

    /// Words stay whole as long as there is room for them; only columns of several words wrap.
    fn narrow(&self, table: &mut comfy_table::Table, used: &[usize], room: usize) {
        let gap = |at: usize| if at + 1 == used.len() { 0 } else { 2 };
        let widest = |column: usize, measure: fn(&str) -> usize| {
            let cells = self.rows.iter().map(|r| r[column].as_str());
            cells.chain([self.headings[column].as_str()]).map(measure).max().unwrap_or(0)
        };
        let wide = |measure: fn(&str) -> usize| -> Vec<usize> {
            used.iter().enumerate().map(|(at, c)| widest(*c, measure) + gap(at)).collect()
        };
        let widths = share(&wide(text::width), &wide(longest_word), room);
        for (at, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, gap(at) as u16));
            let width = u16::try_from(widths[at]).unwrap_or(u16::MAX);
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
    }
}

fn longest_word(cell: &str) -> usize {
    cell.split_whitespace().map(text::width).max().unwrap_or(0)
}

/// Splits `room` among columns. Each gets its longest word, if all of those fit; what is left goes to whoever needs
/// least of it first, so that short columns stay on one line and the long ones wrap.
fn share(natural: &[usize], least: &[usize], room: usize) -> Vec<usize> {
    let fits = least.iter().sum::<usize>() <= room;
    let mut widths: Vec<usize> = if fits { least.to_vec() } else { vec![0; natural.len()] };
    let mut left = room.saturating_sub(widths.iter().sum());
    let mut order: Vec<usize> = (0..natural.len()).collect();
    order.sort_by_key(|i| natural[*i] - widths[*i]);
    for (n, i) in order.iter().enumerate() {
        let more = (natural[*i] - widths[*i]).min(left / (natural.len() - n));
        left -= more;
        widths[*i] = (widths[*i] + more).max(3);
    }
    widths
}

fn paint_heading(table: &str, look: &Look<'_>) -> String {
    let mut page = Page::new(look);
    for (i, line) in table.lines().enumerate() {
        let paint = if i == 0 { Paint::Dim } else { Paint::Plain };
        page.line(&Line::of(paint, line.trim_end()), 0);
    }
    page.finish()
}

/// Names and values under each other, under headings: what `info` shows. A heading without anything below is left out.
#[derive(Clone, Debug, Default)]
pub struct Block {
    lines: Vec<Entry>,
}

#[derive(Clone, Debug)]
enum Entry {
    Heading(String),
    Pair(String, String),
    Text(String),
    /// Never broken: to be copied.
    Command(String, String),
}

impl Block {
    pub fn new() -> Self {
        Block::default()
    }

    pub fn heading(&mut self, text: impl Into<String>) {
        self.lines.push(Entry::Heading(text.into()));
    }

    /// Leaves out a pair without value.
    pub fn pair(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.lines.push(Entry::Pair(name.into(), value));
        }
    }

    /// A command to copy, on one line however long.
    pub fn command(&mut self, name: impl Into<String>, command: impl Into<String>) {
        self.lines.push(Entry::Command(name.into(), command.into()));
    }

    pub fn text(&mut self, text: impl Into<String>) {
        self.lines.push(Entry::Text(text.into()));
    }

    pub fn render(&self, look: &Look<'_>) -> String {
        let mut page = Page::new(look);
        for section in self.lines.chunk_by(|_, b| !matches!(b, Entry::Heading(_))) {
            if matches!(section, [Entry::Heading(_)]) {
                continue;
            }
            let widths = section.iter().filter_map(|e| match e {
                Entry::Pair(name, _) | Entry::Command(name, _) => Some(text::width(name)),
                _ => None,
            });
            let align = widths.filter(|w| *w <= 28).max().unwrap_or(0);
            section.iter().for_each(|entry| write_entry(&mut page, entry, align, look));
        }
        page.finish()
    }
}

fn write_entry(page: &mut Page, entry: &Entry, align: usize, look: &Look<'_>) {
    match entry {
        Entry::Heading(text) => {
            page.blank();
            page.line(&Line::of(Paint::Bold, look.clean(text)), 0);
        }
        Entry::Text(text) => page.line(&Line::new().plain(format!("  {}", look.clean(text))), 2),
        Entry::Command(name, command) => {
            let line = Line::of(Paint::Dim, lead(name, align)).plain(look.clean(command));
            page.wrapped(&line, 0, Wrap::Never);
        }
        Entry::Pair(name, value) => {
            let name = lead(name, align);
            let hang = text::width(&name);
            for (i, line) in look.clean(value).lines().enumerate() {
                let lead = if i == 0 { name.clone() } else { " ".repeat(hang) };
                page.line(&Line::of(Paint::Dim, lead).plain(line), hang);
            }
        }
    }
}

fn lead(name: &str, align: usize) -> String {
    format!("  {name}{}", " ".repeat(align.saturating_sub(text::width(name)) + 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples::{assert_case, look};

    fn nodes() -> Table {
        let mut table = Table::new(["node", "address", "type", "state", "cores", "note"]);
        table.row(["head", "10.20.0.10", "head.default", "ready", "2", ""]);
        table.row(["worker[0]", "10.20.0.11", "worker.default", "ready", "1", ""]);
        table.row([
            "worker[1]",
            "10.20.0.12",
            "worker.default",
            "not working: the service spark-worker has stopped and does not answer on port 8081",
            "1",
            "",
        ]);
        table
    }

    #[test]
    fn tables_fit_the_terminal() {
        assert_case("table", &nodes().render(&look()));
        for width in [30, 40, 60, 100] {
            let text = nodes().render(&Look { width, ..look() });
            assert!(text.lines().all(|l| text::width(l) <= width), "{width}:\n{text}");
        }
        assert_eq!(Table::new(["a"]).or_empty("No nodes.").render(&look()), "No nodes.\n");
    }

    #[test]
    fn words_stay_whole_where_they_fit() {
        let mut table = Table::new(["node", "node-ip", "type", "state", "services", "cpus", "memory"]);
        let services = "spark-history, spark-master, spark-worker (not ready), jupyter-lab, metastore";
        table.row(["worker.default[0]", "127.131.16.2", "worker", "not ready", services, "1", "1024 MiB"]);
        let text = table.render(&look());
        assert!(text.contains("worker.default[0]  127.131.16.2  worker  "), "{text}");
        assert!(text.lines().all(|l| text::width(l) <= 80), "{text}");
    }

    #[test]
    fn blocks_align_their_values() {
        let mut block = Block::new();
        block.heading("Cluster demo/etl");
        block.pair("state", "running, 4 of 4 nodes ready");
        block.pair("head", "10.20.0.10");
        block.pair("nothing", "");
        block.heading("Spark");
        block.pair("web interface", "http://127.0.0.1:8080");
        block.pair("submit", "cloudtik submit cluster.yaml job.py");
        block.text("Tasks run on the three workers.");
        assert_case("block", &block.render(&look()));
    }
}
