//! Open incidents that sound like alerts and that nobody diagnoses, since their titles can't be read as an alert's.

use std::time::Duration;

use serde_json::Value;

use super::super::{Check, Patient, State};
use super::check;
use crate::config::Config;
use crate::inbox::route::is_odd;
use pagerduty::{Incident, Listed};
use store::known_alerts;

/// How long the database may take to say which of them are alerts.
const DATABASE_TIME: Duration = Duration::from_secs(3);
/// How many are named by their titles too.
const QUOTED: usize = 5;

/// An incident, and what it is called.
type Odd = (String, String);

pub(super) async fn titles(patient: Patient<'_>, open: &Listed<Incident>) -> Check {
    let mut odd = odd(patient.config, open);
    let unread = if odd.is_empty() { None } else { leave_alerts_out(patient, &mut odd).await.err() };
    if odd.is_empty() {
        return check("titles", State::Ok, "no open incident has a title like an alert's that can't be read as one");
    }
    // Each is named: what is not named here, nobody may look at.
    let named: Vec<String> = odd
        .iter()
        .enumerate()
        .map(|(n, (id, title))| if n < QUOTED { format!("{id} \"{title:.120}\"") } else { id.clone() })
        .collect();
    let mut detail = format!(
        "nobody diagnoses these open incidents, since their titles can't be read as an alert's: {}",
        named.join("; ")
    );
    if let Some(why) = unread {
        detail.push_str(&format!(" (unless one of them was an alert before; the database does not answer: {why})"));
    }
    check("titles", State::Warning, detail)
        .mend("have titles be exactly \"All SE endpoints down in <region>\"; follow the runbook by hand for these")
}

/// Those whose titles are odd, also of incidents of which no more than the title can be read.
fn odd(config: &Config, open: &Listed<Incident>) -> Vec<Odd> {
    let read = open.iter().filter_map(|incident| {
        let service = incident.service.as_ref().map(|s| (s.id.as_str(), s.name.as_str())).unwrap_or_default();
        is_odd(&incident.title, incident.incident_key.as_deref(), service, config)
            .then(|| (incident.id.clone(), incident.title.clone()))
    });
    let unread = open.left_out.iter().filter_map(|left| {
        let title = left.text("title")?;
        let service = |field: &str| left.entry["service"][field].as_str().unwrap_or_default();
        let id = left.entry.get("id").map(|id| id.as_str().map_or_else(|| Value::to_string(id), str::to_owned));
        is_odd(title, left.text("incident_key"), (service("id"), service("summary")), config)
            .then(|| (id.unwrap_or_else(|| "(no id)".into()), title.to_owned()))
    });
    read.chain(unread).collect()
}

/// Leaves out those that have been alerts before: whatever their titles become, they are diagnosed by the region that is
/// remembered of them.
async fn leave_alerts_out(patient: Patient<'_>, odd: &mut Vec<Odd>) -> Result<(), String> {
    if patient.problems.concern(&["DATABASE_URL"]) {
        return Err("DATABASE_URL must be fixed first".into());
    }
    let url = patient.config.database_url.reveal().map_err(|e| e.to_string())?;
    let ids: Vec<String> = odd.iter().map(|(id, _)| id.clone()).collect();
    let known = tokio::select! {
        biased;
        known = known_alerts(&url, &ids) => known.map_err(|e| e.to_string())?,
        () = patient.clock.sleep(DATABASE_TIME) => return Err("it did not answer in time".into()),
    };
    odd.retain(|(id, _)| !known.contains(id));
    Ok(())
}
