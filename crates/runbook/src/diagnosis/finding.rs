//! What a cluster said becomes a finding; boxes and finding become the place where the path is broken.

use super::{BrokenAt, Finding, Konicle, MagicBox, PodLine, StatusCheck};

/// How many answers or pods a warning names.
const NAMED: usize = 6;

/// What a zone's cluster comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The first finding that holds.
    pub finding: Finding,
    /// The answer that decided, or would have; `None` where no pod could be asked.
    pub status: Option<StatusCheck>,
    /// What a person should know beside the finding.
    pub warnings: Vec<String>,
    /// Why the finding is [`Finding::Unknown`]; `None` otherwise.
    pub error: Option<String>,
}

/// The finding of one zone, by what could be asked of its cluster. Runbook: "Debugging Registry's Private Ingress".
///
/// `konicle` is `None` where the config map is missing or could not be read: that alone decides nothing. `ingress` is
/// an error where pods could not be listed, `asked` has one entry a pod whose status check was tried, an error where
/// the question did not reach the pod; the errors say why, in words to act on.
pub fn conclude(
    konicle: Option<&Konicle>,
    ingress: &Result<Vec<PodLine>, String>,
    asked: &[Result<StatusCheck, String>],
) -> Outcome {
    let status = deciding(asked).cloned();
    let mut warnings = Vec::new();
    warnings.extend(ingress.as_deref().ok().and_then(not_all_running));
    warnings.extend(differing(asked));
    let unasked = unasked(asked);

    let (finding, error) = if konicle.is_some_and(is_disabled) {
        (Finding::Disabled, None)
    } else {
        match ingress {
            Err(why) => (Finding::Unknown, Some(why.clone())),
            Ok(pods) if !private(pods).any(is_running) => (Finding::IngressDown, None),
            Ok(_) => match status.as_ref().map(|s| s.http_status) {
                Some(Some(200)) => (Finding::Healthy, None),
                Some(Some(404)) => (Finding::ZoneUnhealthy, None),
                Some(_) => (Finding::KonicleFault, None),
                None if unasked.is_empty() => {
                    (Finding::Unknown, Some("no private ingress pod was asked for its status".to_owned()))
                }
                None => (Finding::Unknown, Some(unasked.join("; "))),
            },
        }
    };
    // What could not be asked is told once: as the reason for not knowing, else beside what is known.
    if error.is_none() {
        warnings.extend(ingress.as_ref().err().cloned());
        warnings.extend(unasked);
    }
    Outcome { finding, status, warnings, error }
}

/// Where a zone's path is broken, by its worst box (lowest upstream, then lowest SE) and its finding.
pub fn broken_at(boxes: &[MagicBox], finding: Option<Finding>) -> BrokenAt {
    if finding == Some(Finding::Disabled) {
        return BrokenAt::DisabledByRegistry;
    }
    let worst = boxes.iter().map(|b| (b.upstream_status, b.se_status)).min();
    let (Some((upstream, se)), Some(finding)) = (worst, finding) else {
        return BrokenAt::Unknown;
    };
    match (finding, upstream, se) {
        (Finding::Healthy, 1, 1) => BrokenAt::ClientOrFrontEnd,
        (Finding::Healthy, 1, _) => BrokenAt::MagicBox,
        (Finding::Healthy, ..) => BrokenAt::SeTo10443,
        (Finding::IngressDown | Finding::ZoneUnhealthy | Finding::KonicleFault, 1, _) => BrokenAt::Contradiction,
        (Finding::IngressDown, -1, _) => BrokenAt::PrivateIngress,
        (Finding::ZoneUnhealthy | Finding::KonicleFault, ..) => BrokenAt::Zone,
        (Finding::IngressDown | Finding::Unknown | Finding::Disabled, ..) => BrokenAt::Unknown,
    }
}

/// Runbook: "If the `data` section contains `ready: false` or `private-override: false` then this zone has been
/// deliberately disabled by the registry squad".
fn is_disabled(konicle: &Konicle) -> bool {
    [&konicle.ready, &konicle.private_override]
        .into_iter()
        .flatten()
        .any(|value| value.trim().eq_ignore_ascii_case("false"))
}

/// Runbook: "The ones that begin with "private" are the private ingress controllers and pertain to SE".
fn private(pods: &[PodLine]) -> impl Iterator<Item = &PodLine> {
    pods.iter().filter(|p| p.name.starts_with("private"))
}

fn is_running(pod: &PodLine) -> bool {
    pod.status == "Running"
}

/// Runbook: "at least one and ideally both should be "Running"".
fn not_all_running(pods: &[PodLine]) -> Option<String> {
    let all: Vec<_> = private(pods).collect();
    let running = all.iter().filter(|p| is_running(p)).count();
    if all.is_empty() {
        return Some("kube-system has no pod whose name begins with \"private\": there is no private ingress".into());
    }
    let down: Vec<_> = all.iter().filter(|p| !is_running(p)).map(|p| format!("{} is {}", p.name, p.status)).collect();
    (!down.is_empty()).then(|| {
        format!("{running} of {} private ingress pods are Running, ideally all are: {}", all.len(), some_of(&down))
    })
}

/// What a pod answered, in a word.
fn answer(check: &StatusCheck) -> Option<String> {
    check.http_status.map(|s| s.to_string()).or_else(|| check.error.clone())
}

/// Answers that came from inside a pod. One with neither a status nor a fault says nothing, so it is none.
fn answers(asked: &[Result<StatusCheck, String>]) -> impl Iterator<Item = &StatusCheck> {
    asked.iter().flatten().filter(|c| answer(c).is_some())
}

/// The answer that decides: a 200, else a 404, else any other status, else a fault.
fn deciding(asked: &[Result<StatusCheck, String>]) -> Option<&StatusCheck> {
    answers(asked).min_by_key(|c| match c.http_status {
        Some(200) => 0,
        Some(404) => 1,
        Some(_) => 2,
        None => 3,
    })
}

fn differing(asked: &[Result<StatusCheck, String>]) -> Option<String> {
    let said: Vec<_> = answers(asked).filter_map(|c| Some((&c.pod, answer(c)?))).collect();
    let first = said.first()?;
    said.iter().any(|(_, answer)| *answer != first.1).then(|| {
        let said: Vec<_> = said.iter().map(|(pod, answer)| format!("{pod}: {answer}")).collect();
        format!("the private ingress pods answer the status check differently: {}", some_of(&said))
    })
}

/// Why pods could not be asked, each reason once.
fn unasked(asked: &[Result<StatusCheck, String>]) -> Vec<String> {
    let mut reasons = Vec::new();
    for result in asked {
        let reason = match result {
            Ok(check) if answer(check).is_some() => continue,
            Ok(check) => format!("{} was asked for its status, and no answer came back", check.pod),
            Err(why) => why.clone(),
        };
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons.truncate(NAMED);
    reasons
}

fn some_of(items: &[String]) -> String {
    let named = items[..items.len().min(NAMED)].join(", ");
    match items.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
