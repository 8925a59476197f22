use super::*;

fn places(limits: Limits) -> Arc<Places> {
    Arc::new(Places::new(limits, vec!["10.0.0.0/8".parse().unwrap(), "fd00::/16".parse().unwrap()]))
}

fn few() -> Limits {
    Limits { heads: 3, webhooks: 2, health: 1, streams: 1, others: 2, a_peer: 4, ..Limits::default() }
}

const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3));

fn gone(all: &[Place]) -> Vec<usize> {
    all.iter().enumerate().filter(|(_, place)| place.let_go().is_cancelled()).map(|(n, _)| n).collect()
}

#[test]
fn paths_have_their_pools() {
    for (path, pool) in [
        ("/webhooks/pagerduty", Pool::Webhooks),
        ("/healthz", Pool::Alive),
        ("/readyz", Pool::Health),
        ("/metrics", Pool::Health),
        ("/api/events", Pool::Streams),
        ("/live", Pool::Streams),
        ("/api/runs/0190/events", Pool::Streams),
        ("/runs/0190/live", Pool::Streams),
        ("/", Pool::Others),
        ("/sign-in", Pool::Others),
        ("/api/runs", Pool::Others),
        ("/api/runs/0190", Pool::Others),
        ("/runs/0190", Pool::Others),
        ("/healthz/", Pool::Others),
        ("/webhooks/pagerduty/x", Pool::Others),
    ] {
        assert_eq!(Pool::of(path), pool, "{path}");
    }
}

#[test]
fn where_no_head_comes_the_oldest_is_let_go_for_a_new_one() {
    let places = places(few());
    let mut all: Vec<Place> = (0..3).map(|_| places.arrive(PROXY)).collect();
    assert!(gone(&all).is_empty());
    all.push(places.arrive(PROXY));
    assert_eq!(gone(&all), [0]);
    all.push(places.arrive(PROXY));
    assert_eq!(gone(&all), [0, 1]);
    // Who left makes room, whether let go before or not.
    all.drain(..3);
    all.extend((0..1).map(|_| places.arrive(PROXY)));
    assert!(gone(&all).is_empty());
}

#[test]
fn who_waits_for_its_client_gives_way_and_who_is_at_work_does_not() {
    let places = places(few());
    let all: Vec<Place> = (0..3).map(|_| places.arrive(PROXY)).collect();
    assert_eq!(all[0].begin(Pool::Others), Ok(()));
    assert_eq!(all[1].begin(Pool::Others), Ok(()));
    assert_eq!(all[2].begin(Pool::Others), Err(Full), "both are at work");
    // The other pools are not touched by it.
    for pool in [Pool::Webhooks, Pool::Alive, Pool::Health, Pool::Streams] {
        let place = places.arrive(PROXY);
        assert_eq!(place.begin(pool), Ok(()), "{pool:?}");
    }
    all[1].waits(true);
    all[0].waits(true);
    assert_eq!(all[2].begin(Pool::Others), Ok(()));
    assert_eq!(gone(&all), [1], "it waits longest");
    all[0].waits(false);
    let late = places.arrive(PROXY);
    assert_eq!(late.begin(Pool::Others), Err(Full));
    drop(all);
    assert_eq!(late.begin(Pool::Others), Ok(()));
}

#[test]
fn a_connection_that_is_kept_is_as_old_as_its_last_answer() {
    let places = places(few());
    let all: Vec<Place> = (0..3).map(|_| places.arrive(PROXY)).collect();
    all[0].begin(Pool::Health).unwrap();
    let newer = places.arrive(PROXY);
    all[0].end();
    assert_eq!(gone(&all), [1], "back among the heads there is one too many, and it is not the one that was answered");
    drop(newer);
    assert_eq!(gone(&all), [1]);
}

#[test]
fn one_that_was_let_go_does_nothing_any_more() {
    let places = places(few());
    let all: Vec<Place> = (0..4).map(|_| places.arrive(PROXY)).collect();
    assert_eq!(gone(&all), [0]);
    all[0].waits(false);
    all[0].waits(true);
    all[0].begin(Pool::Others).unwrap();
    all[0].end();
    drop(all);
    let state = places.state();
    assert!(state.all.is_empty() && state.peers.is_empty(), "{state:?}");
    assert!(state.pools.iter().all(|pool| pool.taken == 0 && pool.waiting.is_empty()), "{state:?}");
}

#[test]
fn a_peer_has_so_many_and_its_own_oldest_gives_way() {
    let places = places(Limits { heads: 100, others: 100, ..few() });
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    for (peer, same, other) in [
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"),
        ("2001:db8::1", "2001:db8::ffff:0:0:1", "2001:db8:0:1::1"),
    ] {
        let others = places.arrive(address(other));
        let mut all: Vec<Place> = (0..4).map(|_| places.arrive(address(peer))).collect();
        all.push(places.arrive(address(same)));
        assert_eq!(gone(&all), [0], "{peer}");
        // Where all of a peer's are at work, it is the new one that goes.
        all[1..].iter().for_each(|place| place.begin(Pool::Others).unwrap());
        all.push(places.arrive(address(same)));
        assert_eq!(gone(&all), [0, 5], "{peer}");
        assert!(!others.let_go().is_cancelled(), "{other}");
    }
    // Proxies bring many people each.
    for proxy in ["10.1.1.1", "::ffff:10.1.1.1", "fd00::7"] {
        let all: Vec<Place> = (0..20).map(|_| places.arrive(address(proxy))).collect();
        assert!(gone(&all).is_empty(), "{proxy}");
    }
}

#[test]
fn where_no_file_can_be_opened_somebody_who_waits_is_let_go_whatever_their_pool() {
    let places = places(few());
    assert!(!places.let_go_of_one());
    let (working, reading) = (places.arrive(PROXY), places.arrive(PROXY));
    working.begin(Pool::Webhooks).unwrap();
    reading.begin(Pool::Health).unwrap();
    assert!(!places.let_go_of_one(), "both are at work");
    reading.waits(true);
    assert!(places.let_go_of_one());
    assert!(reading.let_go().is_cancelled() && !working.let_go().is_cancelled());
}
