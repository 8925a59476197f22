//! Pods as the API server describes them.

use serde_json::{Value, json};

use super::plan::{PodPlan, State};

const STARTED: &str = "2026-08-01T06:00:00Z";

/// The pod's object.
pub(super) fn object(pod: &PodPlan) -> Value {
    let all = pod.containers.len();
    let ready = match pod.state {
        State::Running | State::Terminating => all,
        State::Unready(ready) => ready.min(all),
        State::CrashLoopBackOff(_) | State::ImagePullBackOff => all - 1,
        _ => 0,
    };
    let phase = match pod.state {
        State::Pending | State::Initializing | State::ImagePullBackOff => "Pending",
        State::Completed => "Succeeded",
        State::Evicted => "Failed",
        _ => "Running",
    };
    let mut metadata = json!({
        "name": pod.name, "namespace": pod.namespace, "uid": uid(&pod.name), "resourceVersion": "118273645",
        "creationTimestamp": STARTED, "labels": { "app": pod.name.split('-').next() },
    });
    if matches!(pod.state, State::Terminating | State::NodeLost) {
        metadata["deletionTimestamp"] = json!("2026-08-02T07:00:00Z");
        metadata["deletionGracePeriodSeconds"] = json!(30);
    }
    let mut spec = json!({
        "containers": pod.containers.iter().map(|c| json!({
            "name": c, "image": format!("icr.io/{c}:1"), "resources": {}, "imagePullPolicy": "IfNotPresent",
        })).collect::<Vec<_>>(),
        "restartPolicy": "Always", "nodeName": "10.94.143.238", "serviceAccountName": "default",
    });
    let mut status = json!({
        "phase": phase, "podIP": "172.30.1.7", "startTime": STARTED,
        "conditions": [
            condition("Initialized", pod.state != State::Initializing),
            condition("Ready", ready == all),
            condition("PodScheduled", pod.state != State::Pending),
        ],
    });
    if !matches!(pod.state, State::Pending | State::Evicted) {
        status["containerStatuses"] =
            pod.containers.iter().enumerate().map(|(i, name)| container(pod, i, name, ready)).collect();
    }
    match pod.state {
        State::Initializing => {
            spec["initContainers"] = json!([{ "name": "prepare", "image": "icr.io/prepare:1", "resources": {} }]);
            status["initContainerStatuses"] = json!([{
                "name": "prepare", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "running": { "startedAt": STARTED } },
            }]);
        }
        State::NodeLost => {
            status["reason"] = json!("NodeLost");
            status["message"] = json!("Node 10.94.143.238 which was running the pod is unresponsive");
        }
        State::Evicted => {
            status["reason"] = json!("Evicted");
            status["message"] = json!("The node was low on resource: memory.");
        }
        _ => {}
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status })
}

fn condition(kind: &str, holds: bool) -> Value {
    json!({ "type": kind, "status": if holds { "True" } else { "False" }, "lastTransitionTime": STARTED })
}

/// The first containers are the broken ones.
fn container(pod: &PodPlan, index: usize, name: &str, ready: usize) -> Value {
    let ready = index >= pod.containers.len() - ready;
    let (state, restarts) = match pod.state {
        State::CrashLoopBackOff(restarts) if !ready => (
            json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container" } }),
            restarts,
        ),
        State::ImagePullBackOff if !ready => {
            (json!({ "waiting": { "reason": "ImagePullBackOff", "message": "Back-off pulling image" } }), 0)
        }
        State::Initializing => (json!({ "waiting": { "reason": "PodInitializing" } }), 0),
        State::Completed => (
            json!({ "terminated": { "exitCode": 0, "reason": "Completed", "startedAt": STARTED, "finishedAt": STARTED } }),
            0,
        ),
        _ => (json!({ "running": { "startedAt": STARTED } }), 0),
    };
    json!({
        "name": name, "image": format!("icr.io/{name}:1"), "imageID": "", "containerID": "containerd://0",
        "ready": ready, "started": ready, "restartCount": restarts, "state": state, "lastState": {},
    })
}

fn uid(name: &str) -> String {
    let sum = name.bytes().fold(0_u64, |sum, b| sum.wrapping_mul(1_099_511_628_211) ^ u64::from(b));
    format!("{:08x}-0000-4000-8000-{:012x}", sum >> 32, sum & 0xffff_ffff_ffff)
}
