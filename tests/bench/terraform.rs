//! The anchor: terraform planning the same graph of its built-in `terraform_data`, which needs no provider.

use crate::Cost;
use std::{fmt::Write, process::Command, time::Instant};

/// Plans `n` resources with five dependencies each; `None` where there is no terraform.
pub fn plan(n: usize) -> Option<Cost> {
    Command::new("terraform").arg("version").output().ok().filter(|o| o.status.success())?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let width = n.div_ceil(20);
    let mut text = String::new();
    for i in 0..n {
        let uses: Vec<String> = if i < width {
            Vec::new()
        } else {
            let before = (i / width - 1) * width;
            (0..5).map(|d| format!("terraform_data.t{}.id", before + (i * 7 + d * 13) % width)).collect()
        };
        writeln!(text, "resource \"terraform_data\" \"t{i}\" {{ input = [{}] }}", uses.join(", ")).expect("text grows");
    }
    std::fs::write(folder.path().join("main.tf"), text).expect("the folder is writable");
    let run = |args: &[&str]| {
        let status =
            Command::new("terraform").args(args).current_dir(folder.path()).output().expect("terraform starts");
        assert!(status.status.success(), "terraform {args:?}: {}", String::from_utf8_lossy(&status.stderr));
    };
    run(&["init", "-no-color"]);
    let children = || crate::cpu(libc::RUSAGE_CHILDREN);
    let (before, started) = (children(), Instant::now());
    run(&["plan", "-no-color", "-refresh=false"]);
    Some(Cost { cpu: children() - before, wall: started.elapsed().as_secs_f64(), peak_mb: 0.0 })
}
