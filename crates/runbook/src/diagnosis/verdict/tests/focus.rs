//! In which order to look at the zones.

use super::*;

fn order(boxes: Vec<MagicBox>) -> Vec<String> {
    let diagnosis = diagnose_all(vec![console(boxes)]);
    names_of(&diagnosis.focus).into_iter().map(str::to_owned).collect()
}

#[test]
fn rejecting_with_upstream_up_first_then_accepting_then_the_rest() {
    assert_eq!(order(vec![of_zone(1, 1, 0, 0), of_zone(2, 1, 1, -1), of_zone(3, 1, 0, 1)]), ["az3", "az2", "az1"]);
    assert_eq!(order(vec![of_zone(1, 1, 1, 1), of_zone(2, 1, 0, 1), of_zone(3, 1, 0, 0)]), ["az2", "az1", "az3"]);
    assert_eq!(order(vec![of_zone(1, 1, 0, 0), of_zone(2, 1, 1, -1), of_zone(3, 1, 1, 0)]), ["az3", "az2", "az1"]);
}

#[test]
fn higher_upstream_first_within_each() {
    assert_eq!(order(vec![of_zone(1, 1, 1, -1), of_zone(2, 1, 1, 0), of_zone(3, 1, 1, 1)]), ["az3", "az2", "az1"]);
    assert_eq!(order(vec![of_zone(1, 1, 0, -1), of_zone(2, 1, 0, 0), of_zone(3, 1, 0, -1)]), ["az2", "az1", "az3"]);
}

#[test]
fn then_by_name_and_zones_without_a_box_last() {
    assert_eq!(order(vec![of_zone(3, 1, 0, 0), of_zone(2, 1, 0, 0), of_zone(1, 1, 0, 0)]), ["az1", "az2", "az3"]);
    assert_eq!(order(vec![of_zone(3, 1, 0, -1)]), ["az3", "az1", "az2"]);
}

#[test]
fn a_zones_best_box_speaks_for_it() {
    let boxes = vec![of_zone(1, 1, 0, -1), of_zone(2, 1, 0, -1), of_zone(2, 2, 0, 0), of_zone(3, 1, 0, -1)];
    assert_eq!(order(boxes), ["az2", "az1", "az3"]);
    let boxes = vec![of_zone(1, 1, 1, 1), of_zone(2, 1, 0, -1), of_zone(2, 2, 0, 1), of_zone(3, 1, 1, 0)];
    assert_eq!(order(boxes), ["az2", "az1", "az3"], "one 0:1 box is enough");
    let boxes = vec![of_zone(1, 1, 0, 0), of_zone(2, 1, 0, -1), of_zone(2, 2, 1, -1), of_zone(3, 1, 0, 0)];
    assert_eq!(order(boxes), ["az2", "az1", "az3"], "so is one 1:x box");
    // Accepting with a lower upstream, and a rejecting box beside it that is no 0:1: the best upstream is 0.
    let boxes = vec![of_zone(1, 1, 1, -1), of_zone(2, 1, 1, -1), of_zone(2, 2, 0, 0), of_zone(3, 1, 0, 0)];
    assert_eq!(order(boxes), ["az2", "az1", "az3"]);
}

#[test]
fn unlisted_zones_take_their_place() {
    let boxes = vec![of_zone(1, 1, 0, 0), of_zone(2, 1, 1, 0), of_zone(3, 1, 0, 0), of_zone(4, 1, 0, 1)];
    assert_eq!(order(boxes), ["az4", "az2", "az1", "az3"]);
}
