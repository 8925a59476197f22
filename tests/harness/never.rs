//! What the service never asks of PagerDuty, held at the end of every story. lifecycle.md#what-it-never-does.

use simulators::world::World;

/// All that it may ask beside reading, by method and path; `*` stands for one id. To acknowledge, reassign, resolve, merge or snooze
/// an incident, and to change anything else, is not among them.
const ALLOWED: [(&str, &str); 8] = [
    ("POST", "/incidents"),
    ("POST", "/v2/enqueue"),
    ("POST", "/incidents/*/notes"),
    ("PUT", "/incidents/*/notes/*"),
    ("DELETE", "/incidents/*/notes/*"),
    // By `subscribe`, and with `WEBHOOK_REENABLE`.
    ("POST", "/webhook_subscriptions"),
    ("POST", "/webhook_subscriptions/*/enable"),
    // With each self-check: PagerDuty sends a ping to us.
    ("POST", "/webhook_subscriptions/*/ping"),
];

/// Whether the service may ask this of PagerDuty.
pub(crate) fn is_allowed(method: &str, path: &str) -> bool {
    let is_path = |pattern: &str| {
        let (wanted, asked) = (pattern.split('/'), path.split('/'));
        wanted.clone().count() == asked.clone().count() && wanted.zip(asked).all(|(part, id)| part == id || part == "*")
    };
    method == "GET" || ALLOWED.iter().any(|(allowed, pattern)| *allowed == method && is_path(pattern))
}

/// Nothing else was asked of this world's PagerDuty, whatever came of it.
#[track_caller]
pub(crate) fn nothing_else_was_asked(world: &World) {
    for request in world.pagerduty.requests() {
        assert!(is_allowed(&request.method, &request.path), "it never asks this of PagerDuty: {request:?}");
        // By the Events API one may acknowledge and resolve too.
        let is_event = request.path == "/v2/enqueue";
        assert!(!is_event || request.body.contains("\"event_action\":\"trigger\""), "{request:?}");
    }
}
