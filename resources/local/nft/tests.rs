//! Against the real kernel, with a real peer.

use super::{
    testing::{FRIEND, FRIEND6, NODE, NODE6, STRANGER, World, isolated},
    *,
};
use std::{
    io::ErrorKind::{ConnectionRefused, InvalidInput},
    net::TcpListener,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

/// A rule for TCP.
fn tcp(ports: &[(u16, u16)], sources: &[(&str, u8)]) -> Rule {
    let sources = sources.iter().map(|(address, prefix)| (address.parse().unwrap(), *prefix)).collect();
    Rule { protocol: Protocol::Tcp, ports: ports.to_vec(), sources }
}

fn listen(port: u16) -> TcpListener {
    TcpListener::bind(("::", port)).unwrap()
}

fn refused(result: io::Result<()>) -> bool {
    result.is_err_and(|error| error.kind() == ConnectionRefused)
}

#[test]
fn only_opened_ports_let_a_peer_in_and_the_others_refuse_at_once() {
    isolated(module_path!(), "only_opened_ports_let_a_peer_in_and_the_others_refuse_at_once", || {
        let world = World::new();
        let _listeners = [8000, 8001, 9000].map(listen);
        assert!(world.knock(FRIEND, NODE, 8001).is_ok(), "no firewall yet");
        set_input(&[tcp(&[(8000, 8000), (8999, 9001)], &[])]).unwrap();
        for port in [8000, 9000] {
            world.knock(FRIEND, NODE, port).unwrap();
        }
        let start = Instant::now();
        assert!(refused(world.knock(FRIEND, NODE, 8001)));
        assert!(start.elapsed().as_millis() < 900, "a lost packet is sent again after a second");
        testing::connect(NODE, NODE, 8001).expect("the node reaches itself");
        let _theirs = world.at_peer(|| listen(7000));
        testing::connect(NODE, FRIEND, 7000).expect("answers come in");
    });
}

#[test]
fn a_source_filter_lets_in_its_network_only() {
    isolated(module_path!(), "a_source_filter_lets_in_its_network_only", || {
        let world = World::new();
        let _listeners = [8000, 8001].map(listen);
        set_input(&[tcp(&[(8000, 8000)], &[("10.9.0.77", 24)]), tcp(&[(8001, 8001)], &[(STRANGER, 32)])]).unwrap();
        assert!(world.knock(FRIEND, NODE, 8000).is_ok() && refused(world.knock(STRANGER, NODE, 8000)));
        assert!(world.knock(STRANGER, NODE, 8001).is_ok() && refused(world.knock(FRIEND, NODE, 8001)));
    });
}

#[test]
fn nothing_new_comes_in_by_ipv6() {
    isolated(module_path!(), "nothing_new_comes_in_by_ipv6", || {
        let world = World::new();
        let _listener = listen(8000);
        world.knock(FRIEND6, NODE6, 8000).expect("no firewall yet");
        set_input(&[tcp(&[(8000, 8000)], &[])]).unwrap();
        assert!(refused(world.knock(FRIEND6, NODE6, 8000)));
        testing::connect("::1", "::1", 8000).expect("the node reaches itself");
        let _theirs = world.at_peer(|| listen(7000));
        testing::connect(NODE6, FRIEND6, 7000).expect("answers and neighbour discovery come in");
    });
}

#[test]
fn what_was_set_reads_back_in_canonical_form() {
    isolated(module_path!(), "what_was_set_reads_back_in_canonical_form", || {
        assert_eq!(read_input().unwrap(), Input::Absent);
        let any = Rule { protocol: Protocol::Any, ports: vec![(53, 53)], sources: vec![] };
        let udp = Rule { protocol: Protocol::Udp, ports: vec![], sources: vec![("10.0.0.1".parse().unwrap(), 8)] };
        let everything = Rule { protocol: Protocol::Any, ports: vec![], sources: vec![(NODE.parse().unwrap(), 0)] };
        for rules in [vec![], vec![any.clone(), udp, tcp(&[(1, 2), (1, 2)], &[(NODE, 32)])], vec![everything, any]] {
            set_input(&rules).unwrap();
            assert_eq!(read_input().unwrap(), Input::Ours(canonical(&rules)));
        }
    });
}

/// Does something to the ruleset behind our back.
fn meddle(change: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::default();
    change(&mut batch);
    Socket::open().unwrap().commit(batch).unwrap();
}

fn in_chain() -> Attrs {
    Attrs::default().text(1, TABLE).text(2, CHAIN)
}

fn handles() -> Vec<Vec<u8>> {
    let rules = Socket::open().unwrap().dump("", kind::GET_RULE, INET, Attrs::default()).unwrap();
    rules.iter().map(|(_, attrs)| find(attrs, 3).unwrap().to_vec()).collect()
}

fn altered() -> bool {
    matches!(read_input().unwrap(), Input::Altered(_))
}

#[test]
fn a_rule_deleted_added_or_changed_behind_our_back_reads_as_altered() {
    isolated(module_path!(), "a_rule_deleted_added_or_changed_behind_our_back_reads_as_altered", || {
        let rules = [tcp(&[(22, 22), (80, 90)], &[(FRIEND, 32)]), tcp(&[(8000, 8000)], &[])];
        set_input(&rules).unwrap();
        for index in 0..handles().len() {
            let handle = handles().swap_remove(index);
            meddle(|batch| batch.delete("", kind::DEL_RULE, INET, in_chain().bytes(3, &handle)));
            assert_ne!(read_input().unwrap(), Input::Ours(rules.to_vec()), "without rule {index}");
            set_input(&rules).unwrap();
        }
        let accept = || in_chain().nest(4, expression::write(&[expression::Expression::Accept]));
        meddle(|batch| batch.make("", kind::NEW_RULE, accept()));
        assert!(altered(), "an untagged rule added");
        set_input(&rules).unwrap();
        meddle(|batch| batch.make("", kind::NEW_RULE, accept().bytes(7, &comment("rule 2"))));
        assert!(altered(), "a rule added that bears our tag");
        set_input(&rules).unwrap();
        let counter = Attrs::default().nest(1, Attrs::default().text(1, "counter").nest(2, Attrs::default()));
        meddle(|batch| batch.make("", kind::NEW_RULE, in_chain().nest(4, counter)));
        assert!(altered(), "an expression that we never make");
        set_input(&rules).unwrap();
        assert_eq!(read_input().unwrap(), Input::Ours(rules.to_vec()));
    });
}

#[test]
fn another_chain_on_the_way_in_reads_as_altered_until_it_is_removed() {
    isolated(module_path!(), "another_chain_on_the_way_in_reads_as_altered_until_it_is_removed", || {
        let rules = [tcp(&[(22, 22)], &[])];
        set_input(&rules).unwrap();
        let base = |table: &str, hook: u32, policy: u32| {
            let hook = Attrs::default().be32(1, hook).be32(2, 10);
            Attrs::default().text(1, table).text(3, "evil").nest(4, hook).be32(5, policy).text(7, "filter")
        };
        for (hook, policy) in [(HOOK_INPUT, 0), (HOOK_INPUT, 1), (HOOK_PREROUTING, 0)] {
            meddle(|batch| {
                make_table(batch, "other");
                batch.make("", kind::NEW_CHAIN, base("other", hook, policy));
                let rule = Attrs::default().text(1, "other").text(2, "evil");
                batch.make("", kind::NEW_RULE, rule.nest(4, expression::write(&[expression::Expression::Reset])));
            });
            assert_eq!(
                read_input().unwrap(),
                Input::Altered("chain `evil` of table `inet other` filters incoming packets too".into())
            );
            assert_eq!(remove_foreign().unwrap(), ["chain `evil` of table `inet other`"]);
            assert_eq!(read_input().unwrap(), Input::Ours(rules.to_vec()));
        }
        const FORWARD: u32 = 2;
        meddle(|batch| batch.make("", kind::NEW_CHAIN, base("other", FORWARD, 0)));
        assert_eq!(read_input().unwrap(), Input::Ours(rules.to_vec()), "forwarding is not our business");
        meddle(|batch| batch.make("", kind::NEW_CHAIN, base(TABLE, FORWARD, 1)));
        assert!(altered(), "a second chain in our table");
        set_input(&rules).unwrap();
        meddle(|batch| batch.make("", kind::NEW_CHAIN, Attrs::default().text(1, TABLE).text(3, CHAIN).be32(5, 0)));
        assert!(altered(), "another policy");
        set_input(&rules).unwrap();
        meddle(|batch| batch.make("", kind::NEW_TABLE, Attrs::default().text(1, TABLE).be32(2, 1)));
        assert!(altered(), "a dormant table");
        set_input(&rules).unwrap();
        assert_eq!(read_input().unwrap(), Input::Ours(rules.to_vec()));
    });
}

#[test]
fn a_peer_never_meets_a_half_made_ruleset() {
    isolated(module_path!(), "a_peer_never_meets_a_half_made_ruleset", || {
        let world = World::new();
        let _listeners = [8000, 8001].map(|port| {
            let listener = listen(port);
            let accepting = listener.try_clone().unwrap();
            thread::spawn(move || accepting.incoming().count());
            listener
        });
        let rules = [vec![tcp(&[(8000, 8000)], &[])], vec![tcp(&[(1, 99), (7990, 8000)], &[(FRIEND, 16)])]];
        set_input(&rules[0]).unwrap();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let knocking = scope.spawn(|| {
                world.at_peer(|| {
                    let mut rounds = 0;
                    while !stop.load(Ordering::Relaxed) {
                        testing::connect(FRIEND, NODE, 8000).expect("open in both");
                        assert!(refused(testing::connect(FRIEND, NODE, 8001)), "closed in both");
                        rounds += 1;
                    }
                    rounds
                })
            });
            for turn in 0..40 {
                set_input(&rules[turn % 2]).unwrap();
            }
            stop.store(true, Ordering::Relaxed);
            assert!(knocking.join().unwrap() > 10);
        });
    });
}

#[test]
fn a_refused_batch_changes_nothing_and_names_its_step() {
    isolated(module_path!(), "a_refused_batch_changes_nothing_and_names_its_step", || {
        let rules = vec![tcp(&[(22, 22)], &[])];
        set_input(&rules).unwrap();
        let mut batch = Batch::default();
        delete_table(&mut batch, TABLE);
        make_table(&mut batch, TABLE);
        batch.make("make a chain on no hook", kind::NEW_CHAIN, {
            let hook = Attrs::default().be32(1, 99).be32(2, 0);
            Attrs::default().text(1, TABLE).text(3, CHAIN).nest(4, hook).text(7, "filter")
        });
        let error = Socket::open().unwrap().commit(batch).unwrap_err();
        assert!(error.to_string().starts_with("make a chain on no hook: "), "{error}");
        assert_eq!(read_input().unwrap(), Input::Ours(rules.clone()));
        let many: Vec<Rule> = (1..=50_000).map(|port| tcp(&[(port, port)], &[])).collect();
        assert_eq!(set_input(&many).unwrap_err().kind(), InvalidInput, "more than a socket sends at once");
        assert_eq!(read_input().unwrap(), Input::Ours(rules));
    });
}

#[test]
fn hundreds_of_rules_go_in_and_read_back() {
    isolated(module_path!(), "hundreds_of_rules_go_in_and_read_back", || {
        let rules: Vec<Rule> = (1..400).map(|port| tcp(&[(port, port)], &[(FRIEND, 32)])).collect();
        set_input(&rules).unwrap();
        assert_eq!(read_input().unwrap(), Input::Ours(rules));
    });
}

#[test]
fn rules_that_mean_nothing_are_refused() {
    assert_eq!(set_input(&[tcp(&[(2, 1)], &[])]).unwrap_err().kind(), InvalidInput);
    assert_eq!(set_input(&[tcp(&[], &[(NODE, 33)])]).unwrap_err().kind(), InvalidInput);
}
