//! The shapes of PagerDuty's JSON: REST, and webhooks v3.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::account::Account;
use super::things::{Incident, Note, State};
use super::{ServiceSetup, User};

/// PagerDuty writes whole seconds.
pub(super) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Account {
    fn reference(&self, kind: &str, path: &str, web_path: &str, id: &str, summary: &str) -> Value {
        json!({
            "id": id, "type": format!("{kind}_reference"), "summary": summary,
            "self": format!("{}/{path}/{id}", self.api), "html_url": format!("{}/{web_path}/{id}", self.web),
        })
    }

    pub(super) fn user_reference(&self, id: &str) -> Value {
        let name = self.users.iter().find(|u| u.id == id).map_or("", |u| &u.name);
        self.reference("user", "users", "users", id, name)
    }

    pub(super) fn service_reference(&self, id: &str) -> Value {
        let name = self.service(id).map_or("", |s| &s.name);
        self.reference("service", "services", "service-directory", id, name)
    }

    /// What events of a service come in by.
    pub(super) fn integration_reference(&self, service_id: &str) -> Value {
        let id = service_id.replacen('P', "PI", 1);
        self.reference("integration", "integrations", "integrations", &id, "Events API V2")
    }

    pub(super) fn incident_reference(&self, id: &str) -> Value {
        let summary = self.incident(id).map(summary).unwrap_or_default();
        self.reference("incident", "incidents", "incidents", id, &summary)
    }

    fn policy_reference(&self, service_id: &str) -> Value {
        let shared = self.shared_policies.iter().find(|(service, _)| service == service_id);
        let service_id = shared.map_or(service_id, |(_, with)| with);
        let id = service_id.replacen('P', "PE", 1);
        let name = self.service(service_id).map_or("", |s| &s.name);
        self.reference("escalation_policy", "escalation_policies", "escalation_policies", &id, name)
    }

    fn teams(&self, service_id: &str) -> Vec<Value> {
        let of = self.teams.iter().filter(|(service, _)| service == service_id);
        of.map(|(_, team)| self.reference("team", "teams", "teams", team, team)).collect()
    }

    fn resolve_reason(&self, incident: &Incident) -> Value {
        let merged = |into: &String| json!({"type": "merge_resolve_reason", "incident": self.incident_reference(into)});
        incident.merged_into.as_ref().map_or(Value::Null, merged)
    }

    /// `GET /incidents/{id}`, `incident`.
    pub(super) fn incident_json(&self, incident: &Incident) -> Value {
        let assignment =
            |user: &String| json!({"at": time(incident.created_at), "assignee": self.user_reference(user)});
        let acknowledgement =
            |(at, by): &(Timestamp, String)| json!({"at": time(*at), "acknowledger": self.user_reference(by)});
        let resolved = incident.state == State::Resolved;
        let alerts = incident.alert_keys.len();
        json!({
            "id": incident.id, "type": "incident", "summary": summary(incident),
            "self": format!("{}/incidents/{}", self.api, incident.id), "html_url": self.incident_url(&incident.id),
            "incident_number": incident.number, "title": incident.title, "created_at": time(incident.created_at),
            "updated_at": time(incident.changed_at), "status": incident.state.as_str(),
            "incident_key": incident.incident_key, "service": self.service_reference(&incident.service_id),
            "assignments": incident.assignees.iter().map(assignment).collect::<Vec<_>>(),
            "assigned_via": "escalation_policy", "last_status_change_at": time(incident.changed_at),
            "resolved_at": resolved.then(|| time(incident.changed_at)),
            "last_status_change_by": match &incident.changed_by {
                Some(user) => self.user_reference(user),
                None => self.service_reference(&incident.service_id),
            },
            "alert_counts": {"all": alerts, "triggered": if resolved { 0 } else { alerts },
                "resolved": if resolved { alerts } else { 0 }},
            "is_mergeable": true, "incident_type": {"name": "incident_default"},
            "escalation_policy": self.policy_reference(&incident.service_id), "teams": self.teams(&incident.service_id), "pending_actions": [],
            "acknowledgements": incident.acknowledgements.iter().map(acknowledgement).collect::<Vec<_>>(),
            "alert_grouping": null, "priority": null, "resolve_reason": self.resolve_reason(incident),
            "incidents_responders": [], "responder_requests": [], "urgency": incident.urgency,
        })
    }

    /// An incident as webhooks v3 have it.
    pub(super) fn webhook_incident_json(&self, incident: &Incident) -> Value {
        let assignees: Vec<Value> = incident.assignees.iter().map(|u| self.user_reference(u)).collect();
        json!({
            "id": incident.id, "type": "incident", "self": format!("{}/incidents/{}", self.api, incident.id),
            "html_url": self.incident_url(&incident.id), "number": incident.number, "status": incident.state.as_str(),
            "incident_key": incident.incident_key, "created_at": time(incident.created_at), "title": incident.title,
            "service": self.service_reference(&incident.service_id), "assignees": assignees,
            "escalation_policy": self.policy_reference(&incident.service_id), "teams": self.teams(&incident.service_id), "priority": null,
            "urgency": incident.urgency, "conference_bridge": null, "resolve_reason": self.resolve_reason(incident),
        })
    }

    pub(super) fn incident_url(&self, id: &str) -> String {
        format!("{}/incidents/{id}", self.web)
    }

    /// `GET /incidents/{id}/notes`, one of `notes`.
    pub(super) fn note_json(&self, note: &Note) -> Value {
        json!({
            "id": note.id, "user": self.user_reference(&note.user_id),
            "channel": {"summary": "The PagerDuty website or APIs"}, "content": note.content,
            "created_at": time(note.created_at), "updated_at": time(note.updated_at),
        })
    }

    /// `GET /services/{id}`, `service`. Its status is derived from its open incidents unless it was set.
    pub(super) fn service_json(&self, service: &ServiceSetup) -> Value {
        let open = |state| self.incidents_at(self.now()).any(|i| i.service_id == service.id && i.state == state);
        let status = match service.status.as_str() {
            "active" if open(State::Triggered) => "critical",
            "active" if open(State::Acknowledged) => "warning",
            other => other,
        };
        let policy = match self.without_policy.contains(&service.id) {
            true => Value::Null,
            false => self.policy_reference(&service.id),
        };
        json!({
            "id": service.id, "type": "service", "summary": service.name, "name": service.name,
            "self": format!("{}/services/{}", self.api, service.id),
            "html_url": format!("{}/service-directory/{}", self.web, service.id), "description": null,
            "auto_resolve_timeout": null, "acknowledgement_timeout": null, "created_at": "2020-01-01T00:00:00Z",
            "status": status, "alert_creation": "create_alerts_and_incidents", "integrations": [], "teams": self.teams(&service.id),
            "escalation_policy": policy,
        })
    }

    /// `GET /users`, one of `users`.
    pub(super) fn user_json(&self, user: &User) -> Value {
        json!({
            "id": user.id, "type": "user", "summary": user.name, "name": user.name, "email": user.email,
            "self": format!("{}/users/{}", self.api, user.id), "html_url": format!("{}/users/{}", self.web, user.id),
            "time_zone": "Etc/UTC", "role": "user",
        })
    }
}

fn summary(incident: &Incident) -> String {
    format!("[#{}] {}", incident.number, incident.title)
}
