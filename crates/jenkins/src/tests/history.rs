use super::*;

fn at(hours: i64) -> Timestamp {
    SystemClock::shared().now().checked_sub(SignedDuration::from_hours(hours)).unwrap()
}

#[tokio::test]
async fn builds_of_the_past_are_listed_as_far_back_as_is_asked_and_their_consoles_read() {
    let (sim, jenkins) = set_up(Setup::always(quick(BOXES))).await;
    for n in 0..250 {
        sim.built(at(1000 - n), ZONE, quick(BOXES));
    }
    let numbers = |builds: &[Build]| builds.iter().map(|build| build.number).collect::<Vec<_>>();
    // The newest was 751 hours ago.
    let all = jenkins.builds_since(at(2000)).await.unwrap();
    assert_eq!(numbers(&all), (1..=250).rev().collect::<Vec<_>>());
    let some = jenkins.builds_since(at(756)).await.unwrap();
    assert_eq!(numbers(&some), [250, 249, 248, 247, 246]);
    assert_eq!(some[0].cluster.as_deref(), Some(ZONE));
    assert!(jenkins.builds_since(at(1)).await.unwrap().is_empty());
    assert_eq!(sim.requests().len(), 3 + 1 + 1, "no more pages than are needed");
    let console = jenkins.console_of(246).await.unwrap().unwrap();
    assert_eq!(console.boxes.len(), BOXES.len());
    assert_eq!(jenkins.console_of(9999).await.unwrap(), None);
    assert!(sim.requests().iter().all(|request| request.method == "GET"));
}

#[tokio::test]
async fn a_refusal_is_told() {
    let (sim, jenkins) = set_up(Setup::always(quick(BOXES))).await;
    sim.fault(Place::Job, Fault::Forbidden, 1);
    assert!(jenkins.builds_since(at(1)).await.unwrap_err().to_string().contains("403"));
    sim.fault(Place::Job, Fault::WrongJson, 9);
    assert!(jenkins.builds_since(at(1)).await.is_err());
}
