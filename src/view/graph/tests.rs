use super::*;
use crate::view::samples::{assert_case, cluster, look, workspace};
use cloudtik_core::{Needs, plan::Action};

/// A workspace and a cluster with `workers` workers, as a first plan has them.
pub(crate) fn sample(workers: usize) -> Graph {
    let mut graph = Graph::default();
    let mut add = |address: Address, after: &[(usize, Needs)]| {
        let at = graph.nodes.len();
        let action = if address.kind() == "role" { Action::Update } else { Action::Create };
        graph.nodes.push(Node { address, action: Some(action) });
        graph.edges.extend(after.iter().map(|(from, needs)| (*from, at, *needs)));
        at
    };
    use Needs::{Created, Ready};
    let network = add(workspace("network.main"), &[]);
    let private = add(workspace("subnet.private"), &[(network, Ready)]);
    let public = add(workspace("subnet.public"), &[(network, Ready)]);
    let nat = add(workspace("nat.main"), &[(public, Ready), (private, Ready)]);
    let firewall = add(workspace("firewall.main"), &[(network, Ready)]);
    let role = add(workspace("role.nodes"), &[]);
    let head = add(cluster("instance.head"), &[(private, Ready), (firewall, Created), (nat, Created), (role, Ready)]);
    let spark = add(cluster("artifact.head/spark"), &[(head, Ready), (nat, Ready)]);
    let files: Vec<usize> = ["spark-defaults.conf", "spark-env.sh", "log4j2.properties"]
        .map(|f| add(cluster(&format!("file.head/{f}")), &[(head, Ready)]))
        .to_vec();
    let after: Vec<_> = files.iter().map(|f| (*f, Ready)).chain([(spark, Ready)]).collect();
    let master = add(cluster("service.head/spark-master"), &after);
    let mut workers_ready = vec![(master, Ready)];
    for i in 0..workers {
        let on = |what: &str| cluster(&what.replace('@', &format!("worker.default[{i}]")));
        let node = add(on("instance.@"), &[(private, Ready), (firewall, Created), (role, Ready), (nat, Created)]);
        let spark = add(on("artifact.@/spark"), &[(node, Ready), (nat, Ready)]);
        let mut after = vec![(spark, Ready), (master, Ready)];
        after.extend(
            ["spark-defaults.conf", "spark-env.sh"]
                .map(|f| (add(on(&format!("file.@/{f}")), &[(node, Ready), (head, Created)]), Ready)),
        );
        workers_ready.push((add(on("service.@/spark-worker"), &after), Ready));
    }
    add(cluster("check.spark"), &workers_ready);
    graph
}

#[test]
fn layers_show_what_can_run_together() {
    assert_case("graph", &text(&sample(3), &look()));
    assert_eq!(text(&Graph::default(), &look()), "The graph is empty.\n");
}

#[test]
fn an_edge_that_needs_more_than_its_detour_stays() {
    let node = |name: &str| Node { address: cluster(name), action: None };
    let nodes = vec![node("a.x"), node("b.x"), node("c.x")];
    let edges = |first| vec![(0, 1, first), (1, 2, Needs::Ready), (0, 2, Needs::Ready)];
    let count = |first| fold::fold(&Graph { nodes: nodes.clone(), edges: edges(first) }).edges.len();
    assert_eq!((count(Needs::Ready), count(Needs::Created)), (2, 3));
}

#[test]
fn dot_and_mermaid_fold_what_is_alike() {
    assert_case("graph.dot", &dot(&sample(3)));
    assert_case("graph.mermaid", &mermaid(&sample(3)));
}

#[test]
fn a_hundred_workers_draw_like_three() {
    let boxes = |workers| svg(&sample(workers)).matches("<g><title>").count();
    assert_eq!(boxes(100), boxes(3));
    assert!(svg(&sample(100)).contains("×100"));
}

#[test]
fn the_same_graph_draws_the_same_bytes() {
    let once = svg(&sample(5));
    assert!((0..5).all(|_| svg(&sample(5)) == once));
}

#[test]
fn names_cannot_leave_the_picture() {
    let node = Node { address: cluster("file.head/<script>\"&]|{x}"), action: None };
    let graph = Graph { nodes: vec![node], edges: Vec::new() };
    assert!(svg(&graph).contains("&lt;script&gt;&quot;&amp;") && !svg(&graph).contains("<script"));
    assert!(dot(&graph).contains(r#"<script>\"&]"#));
    assert!(mermaid(&graph).contains("#60;script#62;#34;#38;#93;#124;#123;x#125;"));
}

#[test]
fn a_circle_is_drawn() {
    let node = |name: &str| Node { address: cluster(name), action: None };
    let edges = vec![(0, 1, Needs::Ready), (1, 2, Needs::Ready), (2, 0, Needs::Created)];
    let graph = Graph { nodes: vec![node("a.x"), node("b.x"), node("c.x")], edges };
    assert_eq!(svg(&graph).matches("marker-end").count(), 3);
    assert_eq!(text(&graph, &look()).matches("after").count(), 3);
}

/// `DRAW=<file.svg>` writes a picture to look at.
#[test]
fn the_sample_can_be_looked_at() {
    let drawn = svg(&sample(3));
    if let Some(path) = std::env::var_os("DRAW") {
        std::fs::write(path, &drawn).unwrap();
    }
    assert_eq!(drawn.matches("<g><title>").count(), 15);
}
