//! PagerDuty's rate limit, shared.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn no_minute_has_more_turns_than_allowed_over_all_processes() {
    let disk = Disk::new().await;
    let other = disk.other();
    // Two seconds before a slot of ten ends.
    disk.clock.jump(SECOND * 8);
    let soon = disk.clock.now() + SECOND * 2;
    assert_eq!(disk.store.take_requests(100, 60).await.unwrap(), (60, soon));
    assert_eq!(other.take_requests(100, 60).await.unwrap(), (40, soon));
    assert_eq!(other.take_requests(100, 60).await.unwrap(), (0, soon));
    // What is for notes and pages is left.
    assert_eq!(other.take_requests(110, 60).await.unwrap(), (10, soon));
    // In no second of the next minute is any left; then all are.
    for _ in 0..61 {
        disk.clock.jump(SECOND);
        assert_eq!(disk.store.take_requests(100, 1).await.unwrap().0, 0);
    }
    disk.clock.jump(SECOND);
    assert_eq!(other.take_requests(100, 1000).await.unwrap(), (100, disk.clock.now() + SECOND * 10));
}

#[tokio::test]
async fn what_a_wrong_clock_has_booked_takes_nothing_from_anybody() {
    let disk = Disk::new().await;
    assert_eq!(disk.store.take_requests(100, 30).await.unwrap().0, 30);
    for hours in [2, -2] {
        let clock = ManualClock::at(disk.clock.now() + jiff::SignedDuration::from_hours(hours));
        let wrong = Store { clock, ..disk.other() };
        assert_eq!(wrong.take_requests(100, 100).await.unwrap().0, 100);
    }
    assert_eq!(disk.store.take_requests(100, 60).await.unwrap().0, 60);
    assert_eq!(disk.other().take_requests(100, 60).await.unwrap().0, 10);
}
