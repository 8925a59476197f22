//! `/incidents`.

use std::cmp::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::account::Account;
use super::call::{Answer, Call, Refusal};
use super::listings::{PAGING, page};
use super::things::{Entry, Incident, Opening, State};

/// What PagerDuty lists unless a range is given.
const MONTH: Duration = Duration::from_secs(30 * 86_400);
/// The longest range that may be given.
const HALF_A_YEAR: Duration = Duration::from_secs(184 * 86_400);
/// Limits of a new incident.
const MAX_TITLE: usize = 1024;
const MAX_KEY: usize = 255;

/// `GET /incidents`: open ones older than a month are left out too, unless `date_range=all` is given.
pub(super) fn list(account: &mut Account, call: &Call<'_>) -> Answer {
    let known = [
        "statuses[]",
        "service_ids[]",
        "urgencies[]",
        "incident_key",
        "date_range",
        "since",
        "until",
        "time_zone",
        "sort_by",
    ];
    call.only(&[&PAGING[..], &known].concat())?;
    let known_value = |name: &'static str, known: &'static [&'static str]| match call
        .all(name)
        .find(|value| !known.contains(value))
    {
        Some(value) => Err(Refusal::input(format!("{name}: {value:?} is not one of {}", known.join(", ")))),
        None => Ok(call.all(name).collect::<Vec<_>>()),
    };
    let statuses = known_value("statuses[]", &["triggered", "acknowledged", "resolved"])?;
    let urgencies = known_value("urgencies[]", &["high", "low"])?;
    known_value("date_range", &["all"])?;
    let services: Vec<&str> = call.all("service_ids[]").collect();
    let range = range(account, call)?;
    // As the real one: an empty key is no filter.
    let key = call.one("incident_key").filter(|key| !key.is_empty());
    let of = |wanted: &[&str], own: &str| wanted.is_empty() || wanted.contains(&own);
    let mut found: Vec<&Incident> = account
        .incidents_at(account.listed())
        .filter(|i| of(&statuses, i.state.as_str()) && of(&urgencies, &i.urgency) && of(&services, &i.service_id))
        .filter(|i| range.is_none_or(|(since, until)| since <= i.created_at && i.created_at <= until))
        .filter(|i| key.is_none_or(|k| i.incident_key.as_deref() == Some(k) || i.alert_keys.iter().any(|a| a == k)))
        .collect();
    let order = order(call.one("sort_by").unwrap_or("incident_number:asc"))?;
    found.sort_by(|a, b| order.iter().map(|compare| compare(a, b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal));
    page(call, "incidents", &found, |incident| account.incident_json(incident))
}

fn range(account: &Account, call: &Call<'_>) -> Result<Option<(Timestamp, Timestamp)>, Refusal> {
    if call.one("date_range").is_some() {
        return Ok(None);
    }
    let time = |name: &str| match call.one(name).map(str::parse::<Timestamp>) {
        None => Ok(None),
        Some(Ok(time)) => Ok(Some(time)),
        Some(Err(_)) => Err(Refusal::input(format!("{name} is no time"))),
    };
    let until = time("until")?.unwrap_or(account.now());
    let month_before = until.checked_sub(jiff::SignedDuration::try_from(MONTH).unwrap_or_default());
    let since = time("since")?.unwrap_or(month_before.unwrap_or(Timestamp::MIN));
    if runbook::span::between(since, until) > HALF_A_YEAR {
        return Err(Refusal::input("The range may not be longer than 6 months"));
    }
    Ok(Some((since, until)))
}

type Compare = Box<dyn Fn(&Incident, &Incident) -> Ordering>;

/// `incident_number:asc`, at most two of them, by comma.
fn order(sort_by: &str) -> Result<Vec<Compare>, Refusal> {
    let fields: Vec<&str> = sort_by.split(',').collect();
    if fields.len() > 2 {
        return Err(Refusal::input("sort_by takes at most two fields"));
    }
    fields
        .into_iter()
        .map(|field| {
            let (name, direction) = field.split_once(':').unwrap_or((field, "asc"));
            let compare: fn(&Incident, &Incident) -> Ordering = match name {
                "incident_number" => |a, b| a.number.cmp(&b.number),
                "created_at" => |a, b| a.created_at.cmp(&b.created_at),
                "resolved_at" => |a, b| a.changed_at.cmp(&b.changed_at),
                "urgency" => |a, b| a.urgency.cmp(&b.urgency),
                _ => return Err(Refusal::input(format!("sort_by: unknown field {name:?}"))),
            };
            match direction {
                "asc" => Ok(Box::new(compare) as Compare),
                "desc" => Ok(Box::new(move |a: &Incident, b: &Incident| compare(b, a)) as Compare),
                _ => Err(Refusal::input(format!("sort_by: unknown direction {direction:?}"))),
            }
        })
        .collect()
}

/// `GET /incidents/{id}`, by id or number. It does not lag.
pub(super) fn get(account: &mut Account, call: &Call<'_>) -> Answer {
    call.only(&[])?;
    let id = call.path[1];
    let incident = account
        .incidents_at(account.now())
        .find(|i| i.id == id || id.parse() == Ok(i.number))
        .ok_or_else(Refusal::not_found)?;
    Ok((200, json!({"incident": account.incident_json(incident)})))
}

/// `GET /incidents/{id}/alerts`.
pub(super) fn alerts(account: &mut Account, call: &Call<'_>) -> Answer {
    call.only(&[&PAGING[..], &["sort_by", "statuses[]"]].concat())?;
    let incident = account.incident(call.path[1]).ok_or_else(Refusal::not_found)?;
    let numbered: Vec<(usize, &String)> = incident.alert_keys.iter().enumerate().collect();
    page(call, "alerts", &numbered, |(n, key)| {
        json!({
            "id": format!("{}A{n}", incident.id), "type": "alert", "summary": incident.title, "alert_key": key,
            "status": if incident.state == State::Resolved { "resolved" } else { "triggered" },
            "incident": account.incident_reference(&incident.id),
        })
    })
}

/// `POST /incidents`.
pub(super) fn create(account: &mut Account, call: &Call<'_>) -> Answer {
    call.only(&[])?;
    let fields = [
        "type",
        "title",
        "service",
        "priority",
        "urgency",
        "body",
        "incident_key",
        "assignments",
        "incident_type",
        "escalation_policy",
        "conference_bridge",
    ];
    let new = call.object("incident", &fields)?;
    is_type(new, &["incident"])?;
    let title =
        text(new, "title")?.filter(|t| !t.trim().is_empty()).ok_or_else(|| Refusal::input("Title can't be blank"))?;
    if title.chars().count() > MAX_TITLE {
        return Err(Refusal::input(format!("Title is too long (maximum is {MAX_TITLE} characters)")));
    }
    let service =
        new.get("service").and_then(Value::as_object).ok_or_else(|| Refusal::input("Service can't be blank"))?;
    is_type(service, &["service_reference", "service"])?;
    let service_id = text(service, "id")?.unwrap_or_default();
    if account.service(service_id).is_none() {
        return Err(Refusal::input("Service not found"));
    }
    let urgency = text(new, "urgency")?.unwrap_or("high");
    if !["high", "low"].contains(&urgency) {
        return Err(Refusal::input("Urgency must be high or low"));
    }
    let body = match new.get("body") {
        None | Some(Value::Null) => None,
        Some(Value::Object(body)) => {
            is_type(body, &["incident_body"])?;
            text(body, "details")?.map(str::to_owned)
        }
        Some(_) => return Err(Refusal::input("Body must be an incident_body")),
    };
    let key = text(new, "incident_key")?.filter(|key| !key.is_empty());
    if key.is_some_and(|key| key.chars().count() > MAX_KEY) {
        return Err(Refusal::input(format!("Incident key is too long (maximum is {MAX_KEY} characters)")));
    }
    if key.is_some_and(|key| open_with_key(account, service_id, key).is_some()) {
        return Err(Refusal::input("Open incident with matching dedup key already exists on this service"));
    }
    let opening = Opening {
        title: title.to_owned(),
        service_id: service_id.to_owned(),
        urgency: urgency.to_owned(),
        // Without a key PagerDuty makes one.
        incident_key: Some(key.map_or_else(|| account.new_id('K').to_lowercase(), str::to_owned)),
        created_at: None,
        body,
        by: Some(call.user_id.clone()),
    };
    let incident = account.open_asked(opening);
    Ok((201, json!({"incident": account.incident_json(&incident)})))
}

/// The open incident of a service that has this key, itself or by an alert, even one that is only on its way, unless it
/// comes late.
pub(super) fn open_with_key(account: &Account, service_id: &str, key: &str) -> Option<String> {
    let now = account.now();
    let on_its_way = |entry: &&Entry| !entry.is_to_come(now);
    account
        .entries
        .iter()
        .filter(on_its_way)
        .filter_map(|entry| entry.incident.at(Timestamp::MAX))
        .find(|i| {
            i.service_id == service_id
                && i.state != State::Resolved
                && (i.incident_key.as_deref() == Some(key) || i.alert_keys.iter().any(|a| a == key))
        })
        .map(|i| i.id.clone())
}

/// `PUT /incidents/{id}`: state, title and urgency.
pub(super) fn update(account: &mut Account, call: &Call<'_>) -> Answer {
    call.only(&[])?;
    let id = call.path[1];
    let change = call.object("incident", &["type", "status", "title", "urgency", "resolution"])?;
    is_type(change, &["incident", "incident_reference"])?;
    account.incident(id).ok_or_else(Refusal::not_found)?;
    let state = match text(change, "status")? {
        None => None,
        Some("acknowledged") => Some(State::Acknowledged),
        Some("resolved") => Some(State::Resolved),
        Some(_) => return Err(Refusal::input("Status must be acknowledged or resolved")),
    };
    if let Some(title) = text(change, "title")? {
        account.change(id, |incident, _| incident.title = title.to_owned());
    }
    if let Some(urgency) = text(change, "urgency")? {
        account.change(id, |incident, _| incident.urgency = urgency.to_owned());
    }
    if let Some(state) = state {
        if account.incident(id).is_some_and(|i| i.state == State::Resolved) {
            return Err(Refusal::input("Incident Already Resolved"));
        }
        account.set_state(id, state, Some(&call.user_id));
    }
    let incident = account.incident(id).ok_or_else(Refusal::not_found)?;
    Ok((200, json!({"incident": account.incident_json(incident)})))
}

/// `PUT /incidents/{id}/merge`: the sources are resolved by it.
pub(super) fn merge(account: &mut Account, call: &Call<'_>) -> Answer {
    call.only(&[])?;
    let into = call.path[1];
    account.incident(into).ok_or_else(Refusal::not_found)?;
    let sources: Vec<String> = call.body["source_incidents"]
        .as_array()
        .map(|sources| sources.iter().filter_map(|s| s["id"].as_str().map(str::to_owned)).collect())
        .filter(|sources: &Vec<String>| !sources.is_empty())
        .ok_or_else(|| Refusal::input("source_incidents can't be blank"))?;
    if sources.iter().any(|s| s == into || account.incident(s).is_none_or(|i| i.state == State::Resolved)) {
        return Err(Refusal::input("A source incident is not open"));
    }
    for source in &sources {
        account.merge(source, into, Some(&call.user_id));
    }
    let incident = account.incident(into).ok_or_else(Refusal::not_found)?;
    Ok((200, json!({"incident": account.incident_json(incident)})))
}

fn text<'a>(object: &'a Map<String, Value>, field: &str) -> Result<Option<&'a str>, Refusal> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::input(format!("{field} must be a string"))),
    }
}

fn is_type(object: &Map<String, Value>, known: &[&str]) -> Result<(), Refusal> {
    match text(object, "type")? {
        Some(kind) if known.contains(&kind) => Ok(()),
        _ => Err(Refusal::input(format!("type must be {}", known.join(" or ")))),
    }
}
