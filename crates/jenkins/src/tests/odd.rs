//! Answers whose lists have entries that are none.

use super::*;

#[tokio::test]
async fn entries_of_lists_that_are_none_are_left_out_and_the_rest_counts() {
    let plan = quick(BOXES).after_queue(Duration::from_millis(200), 3);
    let (sim, jenkins) = set_up(Setup::always(plan)).await;
    sim.fault(Place::Any, Fault::OddEntries, u32::MAX);
    assert_eq!(jenkins.job(soon()).await.unwrap(), JobInfo { buildable: true, takes_cluster: true });
    let Started::Item { id, .. } = jenkins.start(&free(), &zone()).await.unwrap() else { panic!("an item") };
    let item = jenkins.queue_item(id, soon()).await.unwrap().unwrap();
    assert_eq!((item.cluster.as_deref(), item.of_our_job), (Some(ZONE), true));
    let waiting = jenkins.queue(soon()).await.unwrap();
    assert!(waiting.iter().any(|item| item.id == id && item.cluster.as_deref() == Some(ZONE)), "{waiting:?}");
    let build = ended(&jenkins, number_of(&jenkins, id).await).await;
    assert_eq!((build.cluster.as_deref(), build.queue_id), (Some(ZONE), Some(id)));
    let builds = jenkins.builds(soon()).await.unwrap();
    assert_eq!(builds, std::slice::from_ref(&build));
    // Somebody whom we don't know may have caused it too: it is not ours to stop.
    assert!(!jenkins.is_ours_alone(&build.caused_by), "{:?}", build.caused_by);
}

#[test]
fn a_build_is_known_whatever_stands_in_fields_that_nobody_needs() {
    use crate::build::{Action, cluster_of, users_of};
    let read = |actions: serde_json::Value| -> Vec<Action> { serde_json::from_value(actions).unwrap() };
    let parameters = serde_json::json!([
        {"parameters": null, "causes": null}, {"parameters": {}, "causes": "x"}, {},
        {"parameters": [null, 7, {}, {"name": null, "value": "x"}, {"name": 7}, {"name": "CLUSTER", "value": null},
                        {"name": "CLUSTER", "value": ["x"]}, {"name": "CLUSTER", "value": "az1"}]},
        {"causes": [null, {}, {"userId": 7}, {"userId": "me", "userName": null}]},
    ]);
    assert_eq!(cluster_of(&read(parameters.clone())).as_deref(), Some("az1"));
    assert_eq!(users_of(&read(parameters)), [None, None, None, Some("me".to_owned())]);
}
