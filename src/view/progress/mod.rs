//! What a run is doing, as it happens: live lines on a terminal, plain lines elsewhere, JSON lines for programs.
//!
//! [`model`] turns events and the passing of time into lines and never looks at a clock; this file owns the clock, the
//! terminal and the thread that lets waiting show.

mod model;

use super::{
    output::Output,
    page::{Line, Page},
    surroundings,
};
use cloudtik_core::event::{Event, Observer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::Model;
use serde::Serialize;
use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Version of the event stream; new fields and events do not raise it.
const FORMAT: u32 = 1;

/// How often waiting is redrawn.
const FRAME: Duration = Duration::from_millis(120);

/// The first line of the event stream.
#[derive(Serialize)]
struct Version {
    event: &'static str,
    format_version: u32,
    program: &'static str,
    version: &'static str,
}

/// Shows a run's events. Human lines go to stderr, JSON lines to stdout.
pub struct Progress {
    shared: Arc<Shared>,
    ticker: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    output: Output,
    inner: Mutex<Inner>,
    wake: Condvar,
    bar: Option<ProgressBar>,
    began: Instant,
}

struct Inner {
    model: Model,
    over: bool,
}

impl Progress {
    /// In JSON, writes the version line at once, unless the run has it already.
    pub fn new(output: &Output) -> Self {
        announce(output);
        let bar = (output.live && !output.is_json()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(12));
            bar.set_style(ProgressStyle::with_template("{msg}").expect("a constant, tried by the tests"));
            bar
        });
        let inner = Mutex::new(Inner { model: Model::new(bar.is_some()), over: false });
        let shared = Shared { output: output.clone(), inner, wake: Condvar::new(), bar, began: Instant::now() };
        Progress { shared: Arc::new(shared), ticker: Mutex::new(None) }
    }

    /// Ends live output. Everything shown so far stays; later events start it again.
    pub fn finish(&self) {
        self.shared.lock().over = true;
        self.shared.wake.notify_all();
        let ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ticker) = ticker {
            // A ticker that panicked has nothing left to draw.
            let _ = ticker.join();
        }
        if !self.shared.output.is_json() {
            let mut inner = self.shared.lock();
            let lines = inner.model.flush();
            self.shared.print(&lines);
        }
        if let Some(bar) = &self.shared.bar {
            bar.finish_and_clear();
        }
    }

    fn start_ticker(&self) {
        let mut ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner);
        if ticker.is_none() {
            self.shared.lock().over = false;
            if let Some(bar) = self.shared.bar.as_ref().filter(|bar| bar.is_finished()) {
                bar.reset();
            }
            let shared = self.shared.clone();
            *ticker = std::thread::Builder::new().name("progress".into()).spawn(move || shared.tick()).ok();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Observer for Progress {
    fn event(&self, event: Event) {
        if self.shared.output.is_json() {
            return send(&self.shared.output, &event);
        }
        self.start_ticker();
        // Between the phases other code writes; it must find the terminal still.
        let over = matches!(event, Event::RefreshFinished { .. } | Event::ApplyFinished { .. });
        {
            let mut inner = self.shared.lock();
            let lines = inner.model.event(event, self.shared.now(), &self.shared.output.look());
            self.shared.print(&lines);
        }
        if over {
            self.finish();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn tick(&self) {
        let mut inner = self.lock();
        while !inner.over {
            let lines = inner.model.tick(self.now());
            self.print(&lines);
            if let Some(bar) = &self.bar {
                self.draw(bar, &inner.model);
            }
            inner = self.wake.wait_timeout(inner, FRAME).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The window may have been resized since the start.
    fn draw(&self, bar: &ProgressBar, model: &Model) {
        let width = surroundings::terminal_width().unwrap_or(self.output.width).max(20);
        let lines = model.frame(self.now(), width - 1);
        if lines.is_empty() && bar.message().is_empty() {
            return;
        }
        bar.set_message(self.render(&lines, width).trim_end().to_string());
        bar.tick();
    }

    fn print(&self, lines: &[Line]) {
        if lines.is_empty() {
            return;
        }
        let text = self.render(lines, self.output.width);
        match &self.bar {
            Some(bar) if !bar.is_finished() => bar.println(self.output.redactor.text(text.trim_end_matches('\n'))),
            _ => self.output.note(&text),
        }
    }

    fn render(&self, lines: &[Line], width: usize) -> String {
        let look = super::Look { width, ..self.output.look() };
        let mut page = Page::new(&look);
        for line in lines {
            let clean = Line(line.0.iter().map(|(p, t)| (*p, look.clean(t).into_owned())).collect());
            page.line(&clean, 9);
        }
        page.finish()
    }
}

/// Begins the event stream.
pub(crate) fn announce(output: &Output) {
    if output.is_json() && output.announces() {
        let version = env!("CARGO_PKG_VERSION");
        send(output, &Version { event: "version", format_version: FORMAT, program: "cloudtik", version });
    }
}

/// A reader that has gone does not stop the work; a full disk does not either, but it is told.
fn send<T: Serialize>(output: &Output, event: &T) {
    if let Err(e) = output.json(event) {
        output.note(&format!("cannot write the event stream: {e}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_output_starts_ends_and_starts_again() {
        let mut output = Output::detect(false, true);
        output.live = true;
        let progress = Progress::new(&output);
        for _ in 0..2 {
            progress.event(Event::RefreshStarted { total: 3 });
            assert!(progress.ticker.lock().is_ok_and(|t| t.is_some()));
            progress.event(Event::RefreshFinished { elapsed_ms: 1, drifted: 0 });
            assert!(progress.ticker.lock().is_ok_and(|t| t.is_none()));
        }
    }
}
