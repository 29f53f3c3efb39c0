//! How far files are on their way: a line on a terminal, nothing elsewhere.

use super::output::Output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Shows the bytes that several transfers have moved together.
#[derive(Clone)]
pub struct Transfer {
    bar: Option<ProgressBar>,
    parts: Arc<Mutex<Vec<Part>>>,
}

/// Bytes moved, and all there are where that is known.
type Part = (u64, Option<u64>);

impl Transfer {
    pub fn new(output: &Output, parts: usize) -> Self {
        let bar = (output.live && !output.is_json()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
            bar.set_style(
                ProgressStyle::with_template("{msg}, {binary_bytes_per_sec}, {elapsed}").expect("a constant"),
            );
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Transfer { bar, parts: Arc::new(Mutex::new(vec![(0, None); parts])) }
    }

    /// One of the transfers has moved this much of a total that may be known.
    pub fn is_at(&self, part: usize, bytes: u64, total: Option<u64>) {
        let Some(bar) = &self.bar else { return };
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = parts.get_mut(part) {
            *there = (bytes, total);
        }
        let moved = parts.iter().map(|(bytes, _)| bytes).sum();
        let total: Option<u64> = parts.iter().map(|(_, total)| *total).sum();
        bar.set_position(moved);
        bar.set_message(match total {
            Some(total) => format!("{} of {}", size(moved), size(total)),
            None => size(moved),
        });
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `3 files, 1.2 MiB`.
pub fn summary(files: u64, bytes: u64, skipped: u64) -> String {
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    let skipped = match skipped {
        0 => String::new(),
        count => format!("; {count} left out, which are neither files, folders nor links"),
    };
    format!("{files}, {}{skipped}", size(bytes))
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        (amount, unit) = (amount / 1024.0, unit + 1);
    }
    format!("{amount:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (64 << 20, "64.0 MiB"), (5 << 40, "5.0 TiB")]
        {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(summary(1, 3, 0), "1 file, 3 B");
        assert_eq!(summary(2, 3, 1), "2 files, 3 B; 1 left out, which are neither files, folders nor links");
    }
}
