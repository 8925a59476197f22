//! What is read of a pod: only what kubectl's line of it needs, so that nothing else can keep it from being read. Of what
//! its line says, nothing is guessed: where that is of another type, the pod can't be read.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use runbook::json::or_default;

/// A page of pods.
#[derive(Deserialize)]
pub(super) struct PodList {
    #[serde(default, deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    metadata: ListMeta,
    items: Option<Vec<Value>>,
}

#[derive(Default, Deserialize)]
struct ListMeta {
    #[serde(default, rename = "continue", deserialize_with = "or_default")]
    token: String,
}

/// A pod, or of one that can't be read the name, where that can be.
pub(super) type Entry = Result<Pod, Option<String>>;

impl PodList {
    /// Its pods, of those that can't be read the name where that can be, and where the next page begins.
    ///
    /// # Errors
    /// It is no list of pods. An empty one may have `null` for its items, but says what it is.
    pub(super) fn pods(self) -> Result<(Vec<Entry>, Option<String>), kube::Error> {
        let items = match self.items {
            Some(items) => items,
            None if self.kind == "PodList" => Vec::new(),
            None => return Err(kube::Error::SerdeError(serde::de::Error::missing_field("items"))),
        };
        let name = |item: &Value| item["metadata"]["name"].as_str().map(str::to_owned);
        let pods = items.into_iter().map(|item| Pod::deserialize(&item).map_err(|_| name(&item))).collect();
        Ok((pods, Some(self.metadata.token).filter(|token| !token.is_empty())))
    }
}

/// `null` is as if it were not given.
fn given<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A list's objects; what is none (a `null`, a number) is left out.
fn objects<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let Some(entries) = Option::<Vec<Value>>::deserialize(from)? else { return Ok(Vec::new()) };
    let objects = entries.into_iter().filter(Value::is_object);
    objects.map(|entry| T::deserialize(entry).map_err(serde::de::Error::custom)).collect()
}

/// A pod.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Pod {
    #[serde(deserialize_with = "given")]
    pub metadata: Metadata,
    #[serde(deserialize_with = "given")]
    pub spec: Spec,
    #[serde(deserialize_with = "given")]
    pub status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(deserialize_with = "given")]
    pub name: String,
    #[serde(deserialize_with = "given")]
    pub deletion_timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Spec {
    #[serde(deserialize_with = "objects")]
    pub containers: Vec<Container>,
    #[serde(deserialize_with = "objects")]
    pub init_containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Container {
    #[serde(deserialize_with = "given")]
    pub name: String,
    #[serde(deserialize_with = "given")]
    pub restart_policy: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Status {
    #[serde(deserialize_with = "given")]
    pub phase: String,
    #[serde(deserialize_with = "given")]
    pub reason: String,
    #[serde(deserialize_with = "objects")]
    pub conditions: Vec<Condition>,
    #[serde(deserialize_with = "objects")]
    pub init_container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "objects")]
    pub container_statuses: Vec<ContainerStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    #[serde(rename = "type", deserialize_with = "given")]
    pub kind: String,
    #[serde(deserialize_with = "given")]
    pub status: String,
    #[serde(deserialize_with = "given")]
    pub reason: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerStatus {
    #[serde(deserialize_with = "given")]
    pub name: String,
    #[serde(deserialize_with = "given")]
    pub ready: bool,
    #[serde(deserialize_with = "given")]
    pub started: bool,
    #[serde(deserialize_with = "given")]
    pub restart_count: i64,
    #[serde(deserialize_with = "given")]
    pub state: ContainerState,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerState {
    #[serde(deserialize_with = "given")]
    pub running: Option<serde_json::Map<String, Value>>,
    #[serde(deserialize_with = "given")]
    pub waiting: Option<Waiting>,
    #[serde(deserialize_with = "given")]
    pub terminated: Option<Terminated>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Waiting {
    #[serde(deserialize_with = "given")]
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Terminated {
    // One that can't be read is no success.
    #[serde(default = "failed", deserialize_with = "exit_code")]
    pub exit_code: i64,
    #[serde(default, deserialize_with = "given")]
    pub reason: String,
    #[serde(default, deserialize_with = "given")]
    pub signal: i64,
}

fn failed() -> i64 {
    -1
}

fn exit_code<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    Ok(or_default::<_, Option<i64>>(from)?.unwrap_or_else(failed))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_pods_says_what_it_is_and_is_read_entry_by_entry() {
        let read = |list: Value| serde_json::from_value::<PodList>(list).ok()?.pods().ok();
        let items = json!([null, {"metadata": {"name": "a", "labels": [7]}, "spec": {"containers": [null, {}, 7]}}, 7]);
        let (pods, next) = read(json!({"items": items, "metadata": {"continue": "x"}})).unwrap();
        let names: Vec<_> = pods.iter().map(|pod| pod.as_ref().ok().map(|pod| pod.metadata.name.as_str())).collect();
        assert_eq!((names, next.as_deref()), (vec![None, Some("a"), None], Some("x")));
        assert_eq!(pods[1].as_ref().unwrap().spec.containers.len(), 1);
        let (none, next) = read(json!({"kind": "PodList", "items": null, "metadata": null})).unwrap();
        assert!(none.is_empty() && next.is_none());
        // That there is no pod is what a zone's ingress would be called down for.
        for no_list in [json!({}), json!({"kind": "Status"}), json!({"items": 7}), json!({"items": {}}), json!([])] {
            assert!(read(no_list.clone()).is_none(), "{no_list}");
        }
    }
}
