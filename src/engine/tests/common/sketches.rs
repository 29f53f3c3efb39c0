//! Generated documents, small enough to shrink to a few lines.

use cloudtik_core::Declaration;
use cloudtik_testkit::world::thing;
use proptest::prelude::*;

/// A document: for each of a few names, whether it is there, its replacing and its changing attribute.
pub type Sketch = Vec<Option<(u8, u8)>>;

pub fn sketch() -> impl Strategy<Value = Sketch> {
    prop::collection::vec(prop::option::weighted(0.8, (0..3u8, 0..3u8)), 9)
}

/// Names are built on each other: net <- sub <- vm <- part, and two load balancers on vms and nets.
pub fn declare(sketch: &Sketch) -> Vec<Declaration> {
    let texts = ["0", "1", "2"];
    let at = |i: usize| sketch[i].map(|(a, b)| (texts[a as usize], texts[b as usize]));
    let mut all = Vec::new();
    if let Some((cidr, tag)) = at(0) {
        all.push(thing("net.n", &[("cidr", cidr), ("tag", tag)]));
        for (i, name) in [(1, "sub.s[0]"), (2, "sub.s[1]")] {
            let Some((cidr, tag)) = at(i) else { continue };
            all.push(thing(name, &[("net", "@net.n#id"), ("cidr", cidr), ("tag", tag)]));
        }
        if let Some((port, tag)) = at(3) {
            all.push(thing("lb.l", &[("port", port), ("tag", tag), ("net", "@net.n#id")]));
        }
    }
    if let (Some(_), Some(_), Some((image, size))) = (at(0), at(1), at(4)) {
        all.push(thing("vm.v[0]", &[("image", image), ("size", size), ("sub", "@sub.s[0]#id")]));
        if let Some((_, content)) = at(5) {
            all.push(thing("part.v[0]/f", &[("vm", "@vm.v[0]#id"), ("content", content)]));
            let mut daemon = thing("part.v[0]/s", &[("vm", "@vm.v[0]#id"), ("reads", "@part.v[0]/f#digest")]);
            daemon.lifecycle.drain = true;
            all.push(daemon);
        }
        if let Some((port, _)) = at(6) {
            all.push(thing("lb.m", &[("port", port), ("backend", "@vm.v[0]#ip")]));
        }
    }
    if let Some((image, size)) = at(7) {
        let sub = if sketch[0].is_some() && sketch[2].is_some() { "@sub.s[1]#id?created" } else { "none" };
        all.push(thing("vm.v[1]", &[("image", image), ("size", size), ("sub", sub)]));
    }
    if let Some((zone, tag)) = at(8) {
        all.push(thing("vault.d", &[("zone", zone), ("tag", tag)]));
    }
    all
}
