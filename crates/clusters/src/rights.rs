//! What a zone's cluster lets us do: asked of its access rules, which stores nothing. For `doctor`.

use std::sync::{Mutex, PoisonError};

use futures::future::join_all;
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::api::PostParams;
use kube::client::Body;
use kube::core::Request;
use kube::{Client, Resource};

use super::ask::ask;
use super::exporter::{self, Exporter};
use super::login::Login;
use super::words::{Deed, Place, explain, tame};
use super::{INGRESS_NAMESPACE, KONICLE, KONICLE_NAMESPACE, kubeconfig};
use crate::ClusterSettings;
use outbound::clock::Clock;
use outbound::headers::date;
use outbound::metrics::{Asking, Upstream};
use outbound::skew::Skew;
use runbook::alert::Zone;
use runbook::json;
use runbook::span::{after, show_duration};

/// From this minor version on, opening a stream needs `create`, before it `get`.
const CREATE_SINCE: u32 = 35;
/// How much of the version's answer is read.
const MAX_VERSION: usize = 64 * 1024;

/// One of the things that a zone's checks do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Read konicle's config map.
    ReadKonicle,
    /// List the pods of `kube-system`, for the private ingress.
    ListIngress,
    /// List konicle's pods.
    ListKonicle,
    /// Port-forward to an ingress pod.
    Forward,
    /// Exec in an ingress pod.
    Exec,
    /// List the pods of the healthcheck cluster's namespace, for the exporter.
    ListExporter,
    /// Port-forward to the exporter.
    ForwardExporter,
}

/// Everything that may be needed of a registry cluster, in the order in which a run needs it.
const NEEDS: &[Need] = &[Need::ReadKonicle, Need::ListIngress, Need::ListKonicle, Need::Forward, Need::Exec];
/// The same of the healthcheck cluster.
const EXPORTER_NEEDS: &[Need] = &[Need::ListExporter, Need::ForwardExporter];

/// Whether the access rules let us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Granted {
    /// They do.
    Yes,
    /// They do with this version of the cluster; a later one wants this as well.
    Today(String),
    /// They don't: what is refused, as `list pods in kube-system`.
    No(String),
    /// They could not be asked, in words.
    Unknown(String),
}

/// What was found of one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The kubeconfig context; `None` where there is none.
    pub context: Option<String>,
    /// How the context logs in; `None` where that can't be read.
    pub login: Option<Login>,
    /// The API server's version, or why there is no such answer; `None` where it was not asked, since `kubeconfig` says
    /// why.
    pub api: Option<Result<String, String>>,
    /// What is wrong with the kubeconfig, its context, or its credentials; `None` where nothing is.
    pub kubeconfig: Option<String>,
    /// Whether each thing that is needed is granted; empty where the API server was not asked.
    pub granted: Vec<(Need, Granted)>,
    /// How far the API server's clock is ahead of ours for certain; `None` where it gave no date.
    pub clock_ahead: Option<SignedDuration>,
}

/// Asks one zone's cluster what it lets us do, by the context that [`super::check_zone`] would use.
///
/// It never fails and never takes longer than `CLUSTER_CHECK_TIMEOUT`.
pub async fn access(settings: &ClusterSettings, zone: &Zone, context: Option<&str>, clock: &Clock) -> Access {
    access_for(settings, zone, context, (NEEDS, INGRESS_NAMESPACE), clock).await
}

/// The same of the healthcheck cluster, for what the exporter is asked.
pub async fn exporter_access(settings: &ClusterSettings, exporter: &Exporter, clock: &Clock) -> Access {
    let needs = (EXPORTER_NEEDS, exporter.namespace.as_str());
    access_for(settings, &exporter::zone(), Some(&exporter.context), needs, clock).await
}

/// What is needed, and the namespace of the pods that are forwarded to.
type Needs<'a> = (&'static [Need], &'a str);

async fn access_for(
    settings: &ClusterSettings,
    zone: &Zone,
    context: Option<&str>,
    needs: Needs<'_>,
    clock: &Clock,
) -> Access {
    let known = Mutex::new((String::new(), None));
    let lock = || known.lock().unwrap_or_else(PoisonError::into_inner);
    let opening = kubeconfig::open(settings, zone, context, |stage, context| {
        let mut known = lock();
        known.0 = stage;
        known.1 = context.or(known.1.take());
    });
    let deadline = after(clock.now(), settings.timeout);
    let opening = async {
        tokio::select! {
            biased;
            opened = opening => opened,
            () = clock.sleep(settings.timeout) => {
                Err(format!("{} within {}", lock().0, show_duration(settings.timeout)))
            }
        }
    };
    let login = super::within(clock, settings.timeout, kubeconfig::login(settings, zone, context));
    let (opened, login) = tokio::join!(opening, login);
    let login = login.flatten();
    match opened {
        Err(why) => Access {
            context: lock().1.clone(),
            login,
            api: None,
            kubeconfig: Some(why),
            granted: Vec::new(),
            clock_ahead: None,
        },
        Ok((client, place)) => Access { login, ..Asker { client, place, needs, clock, deadline }.ask(settings).await },
    }
}

struct Asker<'a> {
    client: Client,
    place: Place,
    needs: Needs<'a>,
    clock: &'a Clock,
    deadline: Timestamp,
}

impl Asker<'_> {
    async fn ask(&self, settings: &ClusterSettings) -> Access {
        let (needs, _) = self.needs;
        let (version, granted) = tokio::join!(
            self.in_time(self.version()),
            join_all(needs.iter().map(|need| self.in_time(self.may(*need))))
        );
        let (api, clock_ahead) = match version {
            Some(Ok((version, ahead))) => (Ok(version), ahead),
            Some(Err(why)) => (Err(why), None),
            None => (
                Err(format!(
                    "the API server {} did not answer within {}",
                    self.place.server,
                    show_duration(settings.timeout)
                )),
                None,
            ),
        };
        let minor = api.as_ref().ok().and_then(|version| minor(version));
        let granted = needs.iter().zip(granted).map(|(need, answers)| {
            let answers = answers.unwrap_or_else(|| Err("the API server did not answer in time".to_owned()));
            (*need, answers.map_or_else(Granted::Unknown, |answers| judge(&answers, minor)))
        });
        let granted = granted.collect();
        let context = Some(self.place.context.clone());
        Access { context, login: None, api: Some(api), kubeconfig: None, granted, clock_ahead }
    }

    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        super::within(self.clock, runbook::span::between(self.clock.now(), self.deadline), work).await
    }

    /// The version, and the clock: what anybody may ask who is let in at all.
    async fn version(&self) -> Result<(String, Option<SignedDuration>), String> {
        let deed = Deed { verb: "get", resource: "the version", namespace: "the API server" };
        let request = http::Request::get("/version").body(Body::empty()).map_err(|e| e.to_string())?;
        let asked = self.clock.now();
        let asking = Asking::begin(Upstream::Cluster);
        let sent = self.client.send(request).await;
        asking.ended(sent.as_ref().ok().map(|answer| answer.status().as_u16()));
        let answer = sent.map_err(|e| explain(&e, deed, &self.place))?;
        let ahead = date(answer.headers(), "date").and_then(|date| {
            let mut skew = Skew::default();
            skew.observe(asked, self.clock.now(), date);
            Some(skew.ahead()?.saturating_add(self.clock.ahead()))
        });
        let status = answer.status();
        let body = http_body_util::Limited::new(answer.into_body(), MAX_VERSION).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let said: serde_json::Value = json::read(&body).unwrap_or_default();
        if !status.is_success() {
            let status = kube::core::Status {
                code: status.as_u16(),
                message: said["message"].as_str().map_or_else(|| "an answer without a reason".into(), str::to_owned),
                ..kube::core::Status::default()
            };
            return Err(explain(&kube::Error::Api(Box::new(status)), deed, &self.place));
        }
        match said["gitVersion"].as_str() {
            Some(version) => Ok((tame(version, 40), ahead)),
            None => Err(format!(
                "{} answered with something else than Kubernetes does: a proxy or a sign-in page may answer in its place",
                self.place.server
            )),
        }
    }

    /// The verbs that a thing needs, each with whether it is granted.
    async fn may(&self, need: Need) -> Result<Vec<(String, bool)>, String> {
        let asked = self.rules(need).map(|rule| async {
            let words = format!(
                "{} {}{} in {}",
                rule.verb.as_deref().unwrap_or_default(),
                rule.resource.as_deref().unwrap_or_default(),
                rule.subresource.as_ref().map(|s| format!("/{s}")).unwrap_or_default(),
                rule.namespace.as_deref().unwrap_or_default(),
            );
            Ok((words, self.review(rule).await?))
        });
        futures::future::try_join_all(asked).await
    }

    fn rules(&self, need: Need) -> impl Iterator<Item = ResourceAttributes> {
        let (namespace, verbs, resource, sub, name): (&str, &[&str], _, _, _) = match need {
            Need::ReadKonicle => (&self.place.namespace, &["get"], "configmaps", None, Some(KONICLE)),
            Need::ListIngress => (INGRESS_NAMESPACE, &["list"], "pods", None, None),
            Need::ListKonicle => (KONICLE_NAMESPACE, &["list"], "pods", None, None),
            Need::Forward => (INGRESS_NAMESPACE, &["get", "create"], "pods", Some("portforward"), None),
            Need::Exec => (INGRESS_NAMESPACE, &["get", "create"], "pods", Some("exec"), None),
            Need::ListExporter => (self.needs.1, &["list"], "pods", None, None),
            Need::ForwardExporter => (self.needs.1, &["get", "create"], "pods", Some("portforward"), None),
        };
        let owned = |text: &str| Some(text.to_owned());
        verbs.iter().map(move |verb| ResourceAttributes {
            namespace: owned(namespace),
            verb: owned(verb),
            group: owned(""),
            resource: owned(resource),
            subresource: sub.and_then(owned),
            name: name.and_then(owned),
            ..ResourceAttributes::default()
        })
    }

    /// Asks the access rules about ourselves. A POST, as the API wants it; nothing is stored.
    async fn review(&self, rule: ResourceAttributes) -> Result<bool, String> {
        let reviews = Request::new(SelfSubjectAccessReview::url_path(&(), None));
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(rule), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..Default::default() };
        let asking = Asking::begin(Upstream::Cluster);
        let answer = match serde_json::to_vec(&review) {
            Ok(review) => ask(&self.client, reviews.create(&PostParams::default(), review)).await,
            Err(error) => Err(kube::Error::SerdeError(error)),
        };
        asking.ended(super::reads::status(&answer));
        let deed = Deed { verb: "ask about", resource: "our access rights", namespace: "the cluster" };
        match answer {
            Ok(SelfSubjectAccessReview { status: Some(SubjectAccessReviewStatus { allowed, .. }), .. }) => Ok(allowed),
            Ok(_) => Err("the API server did not say whether it is granted".to_owned()),
            Err(error) => Err(explain(&error, deed, &self.place)),
        }
    }
}

/// `v1.34.1+IKS` is 34.
fn minor(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').nth(1)?.parse().ok()
}

/// All verbs are needed; but for `create` of a stream on a cluster that does not ask for it yet.
fn judge(answers: &[(String, bool)], minor: Option<u32>) -> Granted {
    let refused: Vec<&str> = answers.iter().filter(|(_, granted)| !granted).map(|(words, _)| words.as_str()).collect();
    let not_yet = answers.len() > 1 && minor.is_some_and(|minor| minor < CREATE_SINCE);
    match refused.as_slice() {
        [] => Granted::Yes,
        [only] if not_yet && only.starts_with("create ") => Granted::Today((*only).to_owned()),
        // Where `create` is what is asked for, `get` no longer is.
        [only] if answers.len() > 1 && !not_yet && minor.is_some() && only.starts_with("get ") => Granted::Yes,
        refused => Granted::No(refused.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_needs_get_today_and_create_from_1_35_on() {
        let answers = |get: bool, create: bool| {
            [("get pods/portforward in kube-system", get), ("create pods/portforward in kube-system", create)]
                .map(|(words, granted)| (words.to_owned(), granted))
        };
        let of = |get, create, version| judge(&answers(get, create), minor(version));
        for version in ["v1.34.1+IKS", "v1.35.0", "nonsense"] {
            assert_eq!(of(true, true, version), Granted::Yes);
            assert!(
                matches!(of(false, false, version), Granted::No(all) if all.contains("get ") && all.contains("create "))
            );
        }
        assert!(matches!(of(true, false, "v1.34.1+IKS"), Granted::Today(what) if what.starts_with("create ")));
        assert!(matches!(of(false, true, "v1.34.1+IKS"), Granted::No(what) if what.starts_with("get ")));
        assert!(matches!(of(true, false, "v1.35.0"), Granted::No(_)));
        assert_eq!(of(false, true, "v1.35.0"), Granted::Yes);
        assert!(matches!(of(false, true, "nonsense"), Granted::No(_)));
    }
}
