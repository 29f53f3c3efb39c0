//! Documents rehearsed in a simulated world.

use crate::bench::Bench;

#[test]
fn a_rehearsal_is_a_timeline() {
    let mut bench = Bench::new();
    bench.run("apply . --simulate");
    bench.run("apply . --simulate --chaos --seed 5");
    bench.must("plan . -o some.plan");
    bench.run("apply some.plan --simulate");
    bench.compare("rehearsal");
}

#[test]
fn it_changes_nothing_and_goes_the_same_way_again() {
    let bench = Bench::new();
    bench.must("apply workspace.yaml -y");
    let before = bench.must("state export workspace/demo").stdout;
    for how in ["", " --chaos", " --json", " --chaos --json"] {
        for seed in 0..6 {
            let command = format!("apply . --simulate --seed {seed}{how}");
            let (one, again) = (bench.quiet(&command), bench.quiet(&command));
            assert_eq!((one.code, &one.stdout), (again.code, &again.stdout), "{command}");
            assert!(one.code == 0 || one.code == 4, "{command}: {}", one.stderr);
        }
    }
    assert_eq!(bench.must("state export workspace/demo").stdout, before);
    assert_eq!(bench.quiet("plan . --detailed-exitcode").code, 2, "the cluster is still to be made");
}
