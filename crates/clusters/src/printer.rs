//! A pod as `kubectl get pods` prints it: STATUS, READY, RESTARTS.
//!
//! STATUS is not `status.phase`: a pod in CrashLoopBackOff has the phase Running. This follows `printPod` of
//! kubernetes/pkg/printers/internalversion/printers.go line by line, so that a person with kubectl sees the same.

use super::pod::{Container, ContainerStatus, Pod, Terminated};
use super::words::tame;
use runbook::diagnosis::PodLine;

/// The line of one pod.
pub(super) fn line(pod: &Pod, name: &str) -> PodLine {
    let (status, init_specs) = (&pod.status, &pod.spec.init_containers);
    let is_sidecar = |name: &str| init_specs.iter().any(|c| c.name == name && restarts_always(c));

    let mut row = Row {
        reason: text(&status.reason).or(text(&status.phase)).unwrap_or("Unknown").to_owned(),
        ready: 0,
        total: pod.spec.containers.len() + init_specs.iter().filter(|c| restarts_always(c)).count(),
        restarts: 0,
    };
    let conditions = &status.conditions;
    if conditions.iter().any(|c| c.kind == "PodScheduled" && c.reason == "SchedulingGated") {
        row.reason = "SchedulingGated".to_owned();
    }
    let holds = |kind: &str| conditions.iter().any(|c| c.kind == kind && c.status == "True");

    let inits = &status.init_container_statuses;
    let initializing = row.add_init_containers(inits, init_specs.len(), is_sidecar);
    if !initializing || holds("Initialized") {
        row.restarts = inits.iter().filter(|c| is_sidecar(&c.name)).map(|c| c.restart_count).sum();
        let running = row.add_containers(&status.container_statuses);
        if row.reason == "Completed" && running {
            row.reason = if holds("Ready") { "Running" } else { "NotReady" }.to_owned();
        }
    }

    if pod.metadata.deletion_timestamp.is_some() {
        if status.reason == "NodeLost" {
            row.reason = "Unknown".to_owned();
        } else if !matches!(status.phase.as_str(), "Succeeded" | "Failed") {
            row.reason = "Terminating".to_owned();
        }
    }
    PodLine {
        name: name.to_owned(),
        status: tame(&row.reason, 60),
        ready: format!("{}/{}", row.ready, row.total),
        restarts: u32::try_from(row.restarts.max(0)).unwrap_or(u32::MAX),
    }
}

struct Row {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
}

impl Row {
    /// Returns whether one of them is still to end.
    fn add_init_containers(
        &mut self,
        inits: &[ContainerStatus],
        specified: usize,
        is_sidecar: impl Fn(&str) -> bool,
    ) -> bool {
        for (i, container) in inits.iter().enumerate() {
            self.restarts = self.restarts.saturating_add(container.restart_count);
            let state = &container.state;
            let terminated = state.terminated.as_ref();
            if terminated.is_some_and(|t| t.exit_code == 0) {
                continue;
            }
            if is_sidecar(&container.name) && container.started {
                self.ready += usize::from(container.ready);
                continue;
            }
            let waiting = state.waiting.as_ref().and_then(|w| text(&w.reason));
            self.reason = match (terminated, waiting) {
                (Some(end), _) => format!("Init:{}", how_it_ended(end)),
                (None, Some(reason)) if reason != "PodInitializing" => format!("Init:{reason}"),
                _ => format!("Init:{i}/{specified}"),
            };
            return true;
        }
        false
    }

    /// Returns whether one of them is running and ready.
    fn add_containers(&mut self, containers: &[ContainerStatus]) -> bool {
        let mut running = false;
        for container in containers.iter().rev() {
            self.restarts = self.restarts.saturating_add(container.restart_count);
            let state = &container.state;
            if let Some(reason) = state.waiting.as_ref().and_then(|w| text(&w.reason)) {
                self.reason = reason.to_owned();
            } else if let Some(end) = &state.terminated {
                self.reason = how_it_ended(end);
            } else if container.ready && state.running.is_some() {
                running = true;
                self.ready += 1;
            }
        }
        running
    }
}

fn how_it_ended(end: &Terminated) -> String {
    match (text(&end.reason), Some(end.signal).filter(|s| *s != 0)) {
        (Some(reason), _) => reason.to_owned(),
        (None, Some(signal)) => format!("Signal:{signal}"),
        (None, None) => format!("ExitCode:{}", end.exit_code),
    }
}

/// An init container that keeps running beside the others: a sidecar.
fn restarts_always(container: &Container) -> bool {
    container.restart_policy == "Always"
}

fn text(field: &str) -> Option<&str> {
    Some(field).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// STATUS, READY and RESTARTS of a pod with these containers and this status.
    fn shown(init: Value, containers: usize, status: Value, deleted: bool) -> String {
        let containers: Vec<_> = (0..containers).map(|i| json!({ "name": format!("c{i}") })).collect();
        let mut pod = json!({
            "metadata": { "name": "p" }, "spec": { "initContainers": init, "containers": containers }, "status": status,
        });
        if deleted {
            pod["metadata"]["deletionTimestamp"] = json!("2026-08-01T00:00:00Z");
        }
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let line = line(&pod, "p");
        format!("{} {} {}", line.status, line.ready, line.restarts)
    }

    fn container(name: &str, ready: bool, restarts: i32, state: Value) -> Value {
        json!({ "name": name, "ready": ready, "started": ready, "restartCount": restarts, "state": state,
                "image": "", "imageID": "" })
    }

    /// The cases of kubernetes' own TestPrintPod that a person meets.
    #[test]
    fn as_kubectl_prints_it() {
        let running = json!({ "running": {} });
        let waiting = |reason: &str| json!({ "waiting": { "reason": reason } });
        let ended = |code: i32, reason: &str, signal: i32| json!({ "terminated": { "exitCode": code, "reason": reason, "signal": signal } });
        let up = |i: usize| container(&format!("c{i}"), true, 0, running.clone());
        let plain = |phase: &str, statuses: Value| json!({ "phase": phase, "containerStatuses": statuses });
        for (expected, status, deleted) in [
            ("Running 2/2 0", plain("Running", json!([up(0), up(1)])), false),
            ("Running 1/2 0", plain("Running", json!([up(0), container("c1", false, 0, running.clone())])), false),
            (
                "CrashLoopBackOff 1/2 7",
                plain("Running", json!([up(0), container("c1", false, 7, waiting("CrashLoopBackOff"))])),
                false,
            ),
            (
                "ImagePullBackOff 0/2 0",
                plain("Pending", json!([container("c0", false, 0, waiting("ImagePullBackOff"))])),
                false,
            ),
            ("Pending 0/2 0", json!({ "phase": "Pending" }), false),
            ("Error 1/2 3", plain("Running", json!([up(0), container("c1", false, 3, ended(1, "Error", 0))])), false),
            ("ExitCode:3 1/2 0", plain("Running", json!([up(0), container("c1", false, 0, ended(3, "", 0))])), false),
            ("Signal:9 1/2 0", plain("Running", json!([up(0), container("c1", false, 0, ended(0, "", 9))])), false),
            ("Terminating 2/2 0", plain("Running", json!([up(0), up(1)])), true),
            ("Completed 0/2 0", plain("Succeeded", json!([container("c0", false, 0, ended(0, "Completed", 0))])), true),
            (
                "Unknown 2/2 0",
                json!({ "phase": "Running", "reason": "NodeLost", "containerStatuses": [up(0), up(1)] }),
                true,
            ),
            ("Evicted 0/2 0", json!({ "phase": "Failed", "reason": "Evicted" }), false),
            (
                "SchedulingGated 0/2 0",
                json!({ "phase": "Pending", "conditions": [
                { "type": "PodScheduled", "status": "False", "reason": "SchedulingGated" }] }),
                false,
            ),
            ("Unknown 0/2 0", json!({}), false),
        ] {
            assert_eq!(shown(json!([]), 2, status, deleted), expected);
        }
        let half_done = |ready: &str| {
            json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }],
                    "containerStatuses": [container("c0", false, 0, ended(0, "Completed", 0)), up(1)] })
        };
        assert_eq!(shown(json!([]), 2, half_done("True"), false), "Running 1/2 0");
        assert_eq!(shown(json!([]), 2, half_done("False"), false), "NotReady 1/2 0");
    }

    #[test]
    fn init_containers_and_sidecars() {
        let running = json!({ "running": {} });
        let done = json!({ "terminated": { "exitCode": 0, "reason": "Completed" } });
        let two = json!([{ "name": "i0" }, { "name": "i1" }]);
        let at = |inits: Value| json!({ "phase": "Pending", "initContainerStatuses": inits });
        for (expected, inits) in [
            ("Init:0/2 0/1 0", json!([container("i0", false, 0, running.clone())])),
            ("Init:1/2 0/1 2", json!([container("i0", false, 2, done.clone()), container("i1", false, 0, json!({}))])),
            (
                "Init:1/2 0/1 0",
                json!([
                    container("i0", false, 0, done.clone()),
                    container("i1", false, 0, json!({ "waiting": { "reason": "PodInitializing" } }))
                ]),
            ),
            (
                "Init:CrashLoopBackOff 0/1 4",
                json!([container("i0", false, 4, json!({ "waiting": { "reason": "CrashLoopBackOff" } }))]),
            ),
            (
                "Init:Error 0/1 1",
                json!([container("i0", false, 1, json!({ "terminated": { "exitCode": 1, "reason": "Error" } }))]),
            ),
            ("Init:ExitCode:2 0/1 0", json!([container("i0", false, 0, json!({ "terminated": { "exitCode": 2 } }))])),
            (
                "Init:Signal:9 0/1 0",
                json!([container("i0", false, 0, json!({ "terminated": { "exitCode": 2, "signal": 9 } }))]),
            ),
        ] {
            assert_eq!(shown(two.clone(), 1, at(inits), false), expected);
        }
        let sidecar = json!([{ "name": "i0" }, { "name": "s", "restartPolicy": "Always" }]);
        let status = json!({ "phase": "Running",
            "initContainerStatuses": [container("i0", false, 5, done), container("s", true, 2, running.clone())],
            "containerStatuses": [container("c0", true, 1, running)] });
        assert_eq!(
            shown(sidecar, 1, status, false),
            "Running 2/2 3",
            "a sidecar counts, an ended init's restarts don't"
        );
    }
}
