use super::*;
use crate::view::samples::{assert_case, cluster, look};

fn started(operation: &str, short: &str) -> Event {
    Event::OperationStarted { operation: OperationId(operation.into()), address: cluster(short), verb: "create" }
}

fn finished(operation: &str, short: &str, elapsed_ms: u64) -> Event {
    Event::OperationFinished {
        operation: OperationId(operation.into()),
        address: cluster(short),
        verb: "create",
        elapsed_ms,
    }
}

/// Every line with the time it was printed at.
struct Run {
    model: Model,
    out: String,
}

impl Run {
    fn new() -> Self {
        let mut run = Run { model: Model::new(false), out: String::new() };
        run.event(0, Event::ApplyStarted { operations: 6, expected_ms: 30_000 });
        run
    }

    fn note(&mut self, now: u64, lines: &[Line]) {
        for line in lines {
            let line = format!("{now:>6} | {}", line.text());
            self.out += line.trim_end();
            self.out.push('\n');
        }
    }

    fn event(&mut self, now: u64, event: Event) {
        let lines = self.model.event(event, now, &look());
        self.note(now, &lines);
    }

    fn tick(&mut self, now: u64) {
        let lines = self.model.tick(now);
        self.note(now, &lines);
    }
}

#[test]
fn plain_lines_gather_bursts_and_tell_long_waits() {
    let mut run = Run::new();
    for i in 0..3 {
        run.event(10, started(&format!("n{i}"), &format!("instance.worker[{i}]")));
        run.event(100 + i, finished(&format!("n{i}"), &format!("instance.worker[{i}]"), 90));
    }
    run.event(110, started("a", "artifact.head/spark"));
    run.tick(400);
    run.tick(2_200);
    let progress = "12 of 300 MB of spark-3.5.tgz";
    run.event(
        9_000,
        Event::OperationProgress {
            operation: OperationId("a".into()),
            address: cluster("artifact.head/spark"),
            message: progress.into(),
            elapsed_ms: 0,
        },
    );
    run.tick(10_100);
    run.tick(15_000);
    run.tick(20_200);
    run.event(21_000, finished("a", "artifact.head/spark", 20_890));
    run.event(21_100, Event::ApplyFinished { done: 4, failed: 0, skipped: 0, elapsed_ms: 21_100 });
    assert_case("progress-plain", &run.out);
}

#[test]
fn a_failure_says_what_it_stopped_and_what_to_do() {
    let mut run = Run::new();
    run.event(0, started("n", "instance.worker[1]"));
    run.event(
        3_200,
        Event::OperationFailed {
            operation: OperationId("n".into()),
            address: cluster("instance.worker[1]"),
            kind: FailureKind::Exhausted,
            message: "no address is left in 10.20.0.0/29".into(),
            hint: Some("widen `cidr` in workspace.yaml".into()),
            elapsed_ms: 3_200,
        },
    );
    for name in ["file.worker[1]/spark-env.sh", "file.worker[1]/spark-defaults.conf", "service.worker[1]/spark-worker"]
    {
        let operation = OperationId(name.into());
        run.event(
            3_201,
            Event::OperationSkipped { operation, address: cluster(name), because_of: cluster("instance.worker[1]") },
        );
    }
    run.event(3_300, Event::ApplyFinished { done: 2, failed: 1, skipped: 3, elapsed_ms: 3_300 });
    assert_case("progress-failed", &run.out);
}

#[test]
fn a_frame_names_what_is_awaited_and_fits() {
    let mut model = Model::new(true);
    model.event(Event::ApplyStarted { operations: 40, expected_ms: 30_000 }, 0, &look());
    for i in 0..12 {
        model.event(started(&format!("{i:02}"), &format!("instance.worker.default[{i}]")), i * 100, &look());
    }
    let operation = OperationId("00".into());
    model.event(
        Event::OperationCreated { operation, address: cluster("instance.worker.default[0]"), elapsed_ms: 5 },
        900,
        &look(),
    );
    let text: String = model.frame(12_000, 79).iter().map(|l| l.text() + "\n").collect();
    assert_case("progress-frame", &text);
    for width in 20..60 {
        assert!(model.frame(12_000, width).iter().all(|l| l.width() <= width));
    }
    model.event(Event::Interrupted { running: 12 }, 13_000, &look());
    assert!(model.frame(13_000, 79).last().unwrap().text().contains("Ctrl-C again"));
}
