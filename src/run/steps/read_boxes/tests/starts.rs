//! Asking for a build: refused, lost, spoilt, not what was asked for.

use super::*;

#[tokio::test]
async fn after_a_refusal_no_other_zone_is_asked_but_after_anything_else_one_is() {
    for (fault, starts) in [
        (Fault::Unauthorized, 1),
        (Fault::Forbidden, 1),
        (Fault::NotFound, 1),
        (Fault::Conflict, 1),
        (Fault::BadRequest, 3),
        (Fault::SentBack, 3),
        (Fault::NotParameterized, 3),
        (Fault::SignInPage, 3),
    ] {
        let story = Story::of(Setup::always(all_of(&AZ))).await;
        story.sim.fault(Place::Start, fault, 9);
        let reading = story.read().await;
        let asked = story.sim.requests().iter().filter(|r| r.method == "POST").count();
        assert_eq!(asked, starts, "{fault:?}: {:?}", reading.warnings);
        assert_eq!((reading.build_url, reading.console.boxes.len()), (None, 0));
        assert_eq!(reading.warnings.len(), starts, "{fault:?}: {:?}", reading.warnings);
        assert!(reading.warnings[0].contains(AZ[0]), "{:?}", reading.warnings);
    }
}

#[tokio::test]
async fn a_start_that_may_have_arrived_is_looked_for_and_never_doubled() {
    for fault in [Fault::LostAnswer, Fault::DoneThenUnavailable] {
        let story = Story::of(Setup::always(all_of(&AZ).after_queue(Duration::from_millis(100), 0))).await;
        story.sim.fault(Place::Start, fault, 1);
        assert_eq!(names(&story.read().await), AZ, "{fault:?}");
        assert_eq!(story.sim.started(), [AZ[0]], "{fault:?}");
        assert!(story.remembers(AZ[0]).shared, "what was found may be another's");
    }
}

#[tokio::test]
async fn a_start_that_did_not_arrive_is_asked_for_again() {
    for fault in [Fault::Reset, Fault::InternalError, Fault::Unavailable(Duration::ZERO)] {
        let story = Story::of(Setup::always(all_of(&AZ))).await;
        story.sim.fault(Place::Start, fault, 2);
        assert_eq!(names(&story.read().await), AZ, "{fault:?}");
        assert_eq!(story.sim.started(), [AZ[0]], "{fault:?}");
    }
}

#[tokio::test]
async fn a_spoilt_location_costs_nothing() {
    for location in [Location::WrongHost, Location::Malformed] {
        let story = Story::of(Setup { location, ..Setup::always(all_of(&AZ)) }).await;
        assert_eq!(names(&story.read().await), AZ, "{location:?}");
        assert_eq!(story.sim.started(), [AZ[0]], "{location:?}");
    }
}

#[tokio::test]
async fn a_build_without_our_cluster_is_not_used() {
    let story = Story::by(|asked| {
        let mut plan = all_of(&AZ);
        match asked.nth {
            1 => plan.cluster_vanishes = true,
            2 => plan.cluster_becomes = Some("registry-stage-us-south-az1".into()),
            _ => {}
        }
        plan
    })
    .await;
    let reading = story.read().await;
    assert_eq!(reading.build_url, story.build(3));
    assert_eq!(story.sim.started(), AZ);
    assert!(reading.warnings[0].contains("ran without CLUSTER"), "{:?}", reading.warnings);
    assert!(reading.warnings[1].contains("registry-stage-us-south-az1"), "{:?}", reading.warnings);
}

#[tokio::test]
async fn cancelled_by_somebody_forgotten_by_the_queue_or_slow_to_show() {
    let story = Story::by(|asked| {
        let mut plan = all_of(&AZ);
        match asked.nth {
            1 => plan.cancelled = true,
            _ => plan.item_gone = true,
        }
        plan
    })
    .await;
    let reading = story.read().await;
    assert_eq!(reading.build_url, story.build(1), "the cancelled one never became a build");
    assert!(reading.warnings[0].contains("somebody took it out"), "{:?}", reading.warnings);
    let mut plan = all_of(&AZ);
    plan.handover = Duration::from_millis(150);
    let story = Story::of(Setup::always(plan)).await;
    assert_eq!(names(&story.read().await), AZ);
}
