//! Jenkins' JSON, and its `tree` parameter.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::state::{Build, Item, State};
use super::{DEFAULT_CLUSTER, FOLDER, JOB, Shared};

impl Shared {
    fn their_ms(&self, time: Timestamp) -> i64 {
        time.saturating_add(self.setup.skew).unwrap_or(time).as_millisecond()
    }

    fn job_reference(&self) -> Value {
        json!({"_class": "hudson.model.FreeStyleProject", "name": JOB, "url": self.job_url(), "color": "blue"})
    }

    fn actions(&self, cluster: Option<&str>, users: &[String]) -> Value {
        let causes: Vec<Value> = users
            .iter()
            .map(|user| {
                json!({"_class": "hudson.model.Cause$UserIdCause", "shortDescription": format!("Started by user {user}"),
                       "userId": user, "userName": user})
            })
            .collect();
        let parameter = cluster.map(|cluster| {
            json!({"_class": "hudson.model.ParametersAction", "parameters": [
                {"_class": "hudson.model.StringParameterValue", "name": "CLUSTER", "value": cluster}]})
        });
        json!([parameter.unwrap_or(json!({})), {"_class": "hudson.model.CauseAction", "causes": causes}, {}])
    }

    pub(super) fn item_document(&self, item: &Item, now: Timestamp) -> Value {
        let mut document = json!({
            "actions": self.actions(Some(&item.cluster), &item.users), "blocked": false, "buildable": item.left.is_none(),
            "id": item.id, "inQueueSince": self.their_ms(item.queued_at), "params": format!("\nCLUSTER={}", item.cluster),
            "stuck": false, "task": self.job_reference(), "url": format!("queue/item/{}/", item.id), "why": null,
        });
        match item.left {
            None => {
                let quiet = item.quiet_until > now;
                let class = if quiet { "WaitingItem" } else { "BuildableItem" };
                document["_class"] = format!("hudson.model.Queue${class}").into();
                document["why"] =
                    if quiet { "In the quiet period" } else { "Waiting for next available executor" }.into();
            }
            Some(left) => {
                document["_class"] = "hudson.model.Queue$LeftItem".into();
                document["cancelled"] = left.build.is_none().into();
                document["executable"] = match left.build.filter(|_| item.handed_over(now)) {
                    Some(number) => self.build_reference(number),
                    None => Value::Null,
                };
            }
        }
        document
    }

    /// The queue, with those before ours: other jobs' builds.
    pub(super) fn queue_document(&self, state: &State, now: Timestamp) -> Value {
        let mut items = Vec::new();
        for item in state.items.iter().filter(|item| item.left.is_none()) {
            for n in 1..=u64::from(item.others_before(now)) {
                items.push(json!({
                    "_class": "hudson.model.Queue$BuildableItem", "actions": [{}], "id": item.id - n, "stuck": false,
                    "inQueueSince": self.their_ms(item.queued_at), "url": format!("queue/item/{}/", item.id - n),
                    "task": {"_class": "hudson.model.FreeStyleProject", "name": "nightly", "url":
                             format!("{}job/nightly/", self.root())},
                    "why": "Waiting for next available executor",
                }));
            }
            items.push(self.item_document(item, now));
        }
        json!({"_class": "hudson.model.Queue", "discoverableItems": [], "items": items})
    }

    fn build_reference(&self, number: u64) -> Value {
        json!({"_class": "hudson.model.FreeStyleBuild", "number": number, "url": format!("{}{number}/", self.job_url())})
    }

    pub(super) fn build_document(&self, build: &Build, now: Timestamp) -> Value {
        let running = build.is_running(now);
        let result = if running {
            Value::Null
        } else if build.stopped {
            "ABORTED".into()
        } else {
            build.plan.result.into()
        };
        let cluster = match &build.plan.cluster_becomes {
            _ if build.plan.cluster_vanishes => None,
            Some(other) => Some(other.as_str()),
            None => Some(build.cluster.as_str()),
        };
        let mut document = self.build_reference(build.number);
        let duration = if running { 0 } else { build.ends_at.duration_since(build.started_at).as_millis() };
        let more = json!({
            "actions": self.actions(cluster, &build.users), "building": running, "description": null,
            "displayName": format!("#{}", build.number), "duration": i64::try_from(duration).unwrap_or_default(),
            "fullDisplayName": format!("{FOLDER} » {JOB} #{}", build.number), "id": build.number.to_string(),
            "keepLog": false, "queueId": build.item, "result": result, "timestamp": self.their_ms(build.scheduled_at),
        });
        if let (Value::Object(document), Value::Object(more)) = (&mut document, more) {
            document.extend(more);
        }
        document
    }

    pub(super) fn job_document(&self, state: &State, now: Timestamp) -> Value {
        let builds: Vec<Value> = state.builds.iter().rev().map(|build| self.build_document(build, now)).collect();
        let mut document = self.job_reference();
        document["buildable"] = (!state.job.disabled).into();
        document["fullName"] = format!("{FOLDER}/{JOB}").into();
        document["lastBuild"] = builds.first().cloned().unwrap_or_default();
        // As the real one: the newest hundred, and all of them by another name.
        document["builds"] = builds.iter().take(100).cloned().collect::<Vec<_>>().into();
        document["allBuilds"] = builds.into();
        if state.job.without_parameter {
            document["property"] = json!([]);
            return document;
        }
        document["property"] = json!([{"_class": "hudson.model.ParametersDefinitionProperty", "parameterDefinitions": [{
            "_class": "hudson.model.StringParameterDefinition", "name": "CLUSTER", "type": "StringParameterDefinition",
            "defaultParameterValue": {"_class": "hudson.model.StringParameterValue", "value": DEFAULT_CLUSTER}}]}]);
        document
    }

    pub(super) fn folder_document(&self) -> Value {
        json!({"_class": "com.cloudbees.hudson.plugins.folder.Folder", "name": FOLDER,
               "url": format!("{}job/{FOLDER}/", self.root()), "jobs": [self.job_reference()]})
    }

    pub(super) fn root_document(&self) -> Value {
        json!({"_class": "hudson.model.Hudson", "mode": "NORMAL", "url": self.root(), "jobs": [
            {"_class": "com.cloudbees.hudson.plugins.folder.Folder", "name": FOLDER,
             "url": format!("{}job/{FOLDER}/", self.root())}]})
    }

    pub(super) fn computers_document(&self, state: &State, now: Timestamp) -> Value {
        let running = state.builds.iter().filter(|build| build.is_running(now));
        let executors: Vec<Value> =
            running.map(|b| json!({"currentExecutable": self.build_reference(b.number)})).collect();
        json!({"_class": "hudson.model.ComputerSet", "computer": [{"_class": "hudson.model.Hudson$MasterComputer",
               "displayName": "Built-In Node", "executors": executors, "oneOffExecutors": []}]})
    }
}

/// One name of a `tree`, what is wanted below it, and which elements.
#[derive(Debug)]
struct Branch {
    name: String,
    below: Vec<Branch>,
    range: Option<(usize, usize)>,
}

/// Keeps of a document what `tree` names (and every `_class`, as Jenkins does); without a tree, references are cut to
/// class, number, name and URL. `None` for a tree that can't be read.
pub(super) fn prune(document: Value, tree: Option<&str>) -> Option<Value> {
    match tree.filter(|tree| !tree.is_empty()) {
        Some(tree) => {
            let mut rest = tree;
            let branches = branches(&mut rest)?;
            rest.is_empty().then(|| keep(document, &branches))
        }
        None => Some(shallow(document)),
    }
}

fn branches(rest: &mut &str) -> Option<Vec<Branch>> {
    let mut branches = Vec::new();
    loop {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end == 0 {
            return None;
        }
        let mut branch = Branch { name: rest[..end].to_owned(), below: Vec::new(), range: None };
        *rest = &rest[end..];
        if let Some(inner) = rest.strip_prefix('[') {
            *rest = inner;
            branch.below = self::branches(rest)?;
            *rest = rest.strip_prefix(']')?;
        }
        if let Some(inner) = rest.strip_prefix('{') {
            let (range, after) = inner.split_once('}')?;
            let (from, to) = range.split_once(',')?;
            branch.range = Some((from.parse().ok()?, to.parse().ok()?));
            *rest = after;
        }
        branches.push(branch);
        match rest.strip_prefix(',') {
            Some(next) => *rest = next,
            None => return Some(branches),
        }
    }
}

fn keep(document: Value, branches: &[Branch]) -> Value {
    match document {
        Value::Array(elements) => elements.into_iter().map(|element| keep(element, branches)).collect(),
        Value::Object(mut fields) => {
            let mut kept = Map::new();
            if let Some(class) = fields.remove("_class") {
                kept.insert("_class".into(), class);
            }
            for branch in branches {
                let Some(value) = fields.remove(&branch.name) else { continue };
                let value = match (value, branch.range) {
                    (Value::Array(elements), Some((from, to))) => {
                        elements.into_iter().skip(from).take(to.saturating_sub(from)).collect()
                    }
                    (value, _) => value,
                };
                kept.insert(branch.name.clone(), keep(value, &branch.below));
            }
            Value::Object(kept)
        }
        scalar => scalar,
    }
}

fn shallow(document: Value) -> Value {
    let Value::Object(mut fields) = document else { return document };
    fields.remove("allBuilds");
    for name in ["builds", "lastBuild", "jobs", "executable"] {
        if let Some(value) = fields.remove(name) {
            let reference =
                ["number", "name", "url"].map(|name| Branch { name: name.into(), below: Vec::new(), range: None });
            fields.insert(name.into(), keep(value, &reference));
        }
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_keeps_what_it_names_and_every_class() {
        let document =
            json!({"_class": "A", "x": 1, "y": 2, "list": [{"_class": "B", "a": 1, "b": 2}, {"a": 3}, {"a": 4}]});
        assert_eq!(
            prune(document, Some("x,list[a]{0,2}")),
            Some(json!({"_class": "A", "x": 1, "list": [{"_class": "B", "a": 1}, {"a": 3}]}))
        );
        for tree in ["x[", "x]", ",", "x{0}", "x[a}"] {
            assert_eq!(prune(json!({}), Some(tree)), None, "{tree}");
        }
    }
}
