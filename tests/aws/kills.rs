//! Killed with the world half made, at calls that change something: the next run ends where an undisturbed one does.
//!
//! With `EVERY_KILL=1` at every such call, which takes half an hour, since each next run waits until late answers would be
//! visible; else at every seventeenth. The suite on the AWS in memory (`resources/aws/tests/lifecycle`) does it in seconds.

use crate::account::{Account, BODILESS, DOCUMENTS, looks_like, shape};
use cloudtik_testkit::lab::{Fault, Settings};
use std::{process::Stdio, time::Duration};

const CHANGES: &str = ":(?!Describe|List|Get|Head|Assume)";

/// Settles at once, so that time is spent on runs and not on waits.
fn settings() -> Settings {
    Settings { rules: true, page_size: 5, ..Settings::default() }
}

/// Stops the run at its `nth` change and kills it: with `effect`, after AWS has made the change. Whether there was one.
fn kill_at(account: &Account, args: &[&str], nth: u32, effect: bool) -> bool {
    let hold = if effect { Fault::hold_after } else { Fault::hold_before };
    account.strict.order(&[hold(CHANGES).after(nth)]);
    let mut child = account.bench.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let held = account.strict.held(Duration::from_secs(60), || child.try_wait().unwrap().is_some());
    let hit = !held.is_empty();
    assert!(hit || child.try_wait().unwrap().is_some(), "neither a change nor the end within a minute");
    child.kill().unwrap();
    child.wait().unwrap();
    account.strict.order(&[]);
    account.strict.release(false);
    hit
}

/// The changes to be killed at, from `first` on.
fn changes(first: u32) -> impl Iterator<Item = u32> {
    (first..).step_by(if std::env::var_os("EVERY_KILL").is_some() { 1 } else { 17 })
}

fn killed_everywhere(first: u32, effect: bool) {
    let mut account = Account::new(settings());
    account.converge();
    let expected = shape(&account.world());
    let apply = [&["apply", "--yes"][..], &DOCUMENTS, &BODILESS].concat();
    for nth in changes(first) {
        account.again();
        if !kill_at(&account, &apply, nth, effect) {
            println!("there is no change {nth}");
            assert!(nth > 20, "only {nth} changes");
            return;
        }
        account.converge();
        looks_like(&account.world(), &expected, &format!("killed at change {nth}, effect {effect}"));
        println!("killed at change {nth}, effect {effect}: as it should be");
    }
}

mod slow {
    use super::*;

    #[test]
    fn killed_before_each_change_an_apply_ends_in_the_same_world() {
        killed_everywhere(0, false);
    }

    #[test]
    fn killed_after_each_change_an_apply_ends_in_the_same_world() {
        killed_everywhere(5, true);
    }

    #[test]
    fn killed_at_each_change_a_destroy_leaves_nothing() {
        let mut account = Account::new(settings());
        let destroy = [&["destroy", "--yes", "--delete-managed-storage"][..], &DOCUMENTS].concat();
        for nth in changes(0) {
            account.again();
            let before = account.world();
            account.converge();
            if !kill_at(&account, &destroy, nth, nth % 2 == 0) {
                println!("there is no change {nth}");
                assert!(nth > 10, "only {nth} changes");
                return;
            }
            account.destroy();
            account.world().nothing_left(&before);
        }
    }
}

/// A sample of what [`slow`] does everywhere.
#[test]
fn killed_at_a_launch_nothing_is_made_twice() {
    let account = Account::new(settings());
    account.converge();
    let expected = shape(&account.world());
    for (launch, effect) in [(0, true), (1, true), (0, false)] {
        let account = Account::new(settings());
        let hold = if effect { Fault::hold_after } else { Fault::hold_before };
        account.strict.order(&[hold("ec2:RunInstances").after(launch)]);
        let apply = [&["apply", "--yes"][..], &DOCUMENTS, &BODILESS].concat();
        let mut child = account.bench.command(&apply).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        assert_eq!(account.strict.held(Duration::from_secs(60), || false), ["ec2:RunInstances"]);
        child.kill().unwrap();
        child.wait().unwrap();
        account.strict.order(&[]);
        account.strict.release(false);
        account.converge();
        looks_like(&account.world(), &expected, "killed at a launch");
    }
}
