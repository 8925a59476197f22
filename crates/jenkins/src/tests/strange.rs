//! What strict JSON refuses of Jenkins' documents, and entries that can't be read.

use super::*;

#[tokio::test]
async fn an_odd_text_in_somebodys_build_hides_no_other() {
    for odd in [&br"\ud83d"[..], b"caf\xe9", b"a\nb", b"\x00", br"\x41\u12"] {
        let (sim, jenkins) = set_up(Setup::always(quick(BOXES))).await;
        sim.spell("somebody", odd);
        sim.somebody_builds(ZONE);
        until(async || jenkins.builds(soon()).await.unwrap().into_iter().find(Build::is_done)).await;
        let Started::Item { id, .. } = jenkins.start(&free(), &zone()).await.unwrap() else { panic!("an item") };
        assert!(jenkins.queue_item(id, soon()).await.unwrap().is_some());
        assert!(jenkins.queue(soon()).await.is_ok());
        until(async || (jenkins.builds(soon()).await.unwrap().len() == 2).then_some(())).await;
        assert!(jenkins.build(1, soon()).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_build_that_cannot_be_read_hides_no_other_and_what_is_no_list_is_not_an_empty_one() {
    let (sim, jenkins) = set_up(Setup::always(quick(BOXES))).await;
    for n in 1..=2 {
        sim.somebody_builds(ZONE);
        until(async || (jenkins.builds(soon()).await.unwrap().len() == n).then_some(())).await;
    }
    sim.spell("\"number\":2", b"\"number\":1e999");
    let builds = jenkins.builds(soon()).await.unwrap();
    assert_eq!(builds.iter().map(|build| build.number).collect::<Vec<_>>(), [1]);
    sim.fault(Place::Job, Fault::WrongJson, 1);
    assert_eq!(jenkins.builds(soon()).await.unwrap_err().kind, Kind::Malformed);
}

#[tokio::test]
async fn a_number_that_nothing_hangs_on_costs_nothing() {
    let (sim, jenkins) = set_up(Setup::always(quick(BOXES))).await;
    sim.somebody_builds(ZONE);
    until(async || jenkins.builds(soon()).await.unwrap().into_iter().find(Build::is_done)).await;
    sim.spell("\"duration\":", b"\"duration\":1e999");
    let build = jenkins.build(1, soon()).await.unwrap().unwrap();
    assert_eq!((build.number, build.cluster.as_deref()), (1, Some(ZONE)));
}
