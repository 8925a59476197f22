//! A webhook's body becomes an event. Pure. PagerDuty v3: one event a delivery.

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Longest id or type that is taken; PagerDuty's are some 30 characters.
const MAX_NAME: usize = 200;
/// Longer links than this are nobody's.
const MAX_URL: usize = 2048;

/// `event.client.name` of a drill. It is signed with all the rest.
pub const DRILL: &str = "se-responder drill";

/// An authentic event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `event.id`; made of the body's bytes where there is none, so that it is stored once all the same.
    pub id: String,
    /// `event.event_type`; `unreadable` where there is none.
    pub event_type: String,
    /// `event.occurred_at`.
    pub occurred_at: Option<Timestamp>,
    /// What it says.
    pub kind: Kind,
}

/// What an event says, as far as we act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `incident.triggered`.
    Triggered(IncidentData),
    /// `incident.reopened`.
    Reopened(IncidentData),
    /// `incident.triggered` of a drill: `trigger` sent it, and PagerDuty knows nothing of its incident.
    Drill(IncidentData),
    /// `incident.resolved`, be it fixed or merged into another.
    Resolved {
        /// The incident.
        incident_id: String,
        /// Its title; empty where there is none.
        title: String,
    },
    /// `incident.annotated`: somebody wrote a note.
    Annotated(Annotation),
    /// Any other event about an incident.
    OfIncident(String),
    /// An event about something else: `pagey.ping`, `service.updated`, one that did not exist when this was written.
    Other,
    /// It is authentic, and can't be read: why.
    Unreadable(String),
}

/// `event.data` of an incident event. Only its id and title must be there; what else is missing or odd is as if it
/// were not given, since an alert must not go unseen for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentData {
    /// PagerDuty's id.
    pub id: String,
    /// Its number; 0 where it is not given.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Its page; empty where none is given that is an http(s) URL.
    pub html_url: String,
    /// Its key; ours begin with `se-responder/`.
    pub incident_key: Option<String>,
    /// The service that it is on; its id and name are empty where they are not given.
    pub service: ServiceRef,
}

impl IncidentData {
    fn read(data: &Value) -> Result<Self, String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let id = text(&data["id"]).ok_or("event.data has no id")?;
        if !is_id(&id) {
            return Err(format!("{:?} is no incident's id", truncated(&id)));
        }
        let url = text(&data["html_url"]).filter(|url| url.starts_with("https://") || url.starts_with("http://"));
        let service = &data["service"];
        Ok(Self {
            id,
            number: data["number"].as_u64().unwrap_or_default(),
            title: text(&data["title"]).ok_or("event.data has no title")?,
            html_url: url.filter(|url| url.len() <= MAX_URL && !url.contains(char::is_whitespace)).unwrap_or_default(),
            incident_key: text(&data["incident_key"]),
            service: ServiceRef {
                id: text(&service["id"]).unwrap_or_default(),
                summary: text(&service["summary"]).unwrap_or_default(),
            },
        })
    }
}

/// A note, as `incident.annotated` brings it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The incident that it is on.
    pub incident_id: String,
    /// Its text.
    pub content: String,
    /// Who wrote it, by id and name; `None` where nobody did.
    pub agent: Option<(String, String)>,
}

/// A reference to a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceRef {
    /// PagerDuty's id.
    pub id: String,
    /// Its name.
    pub summary: String,
}

impl Event {
    /// Reads a body; never fails, since whatever is authentic is kept.
    pub fn read(body: &[u8]) -> Self {
        let unreadable = |event_type: &str, why: String| Self {
            id: format!("sha256:{}", hex::encode(Sha256::digest(body))),
            event_type: event_type.to_owned(),
            occurred_at: None,
            kind: Kind::Unreadable(why),
        };
        let value: Value = match serde_json::from_slice(body) {
            Ok(value) => value,
            Err(e) => return unreadable("unreadable", format!("the body is no JSON: {e}")),
        };
        let event = &value["event"];
        let name = |field: &str| event[field].as_str().filter(|n| !n.is_empty() && n.len() <= MAX_NAME);
        let (Some(event_type), Some(id)) = (name("event_type"), name("id")) else {
            return unreadable("unreadable", "the body has no event.id or event.event_type".into());
        };
        let data = &event["data"];
        let kind = match event_type {
            "incident.triggered" | "incident.reopened" => match IncidentData::read(data) {
                Ok(incident) => match (event_type, event["client"]["name"].as_str()) {
                    ("incident.triggered", Some(DRILL)) => Kind::Drill(incident),
                    ("incident.triggered", _) => Kind::Triggered(incident),
                    _ => Kind::Reopened(incident),
                },
                Err(why) => Kind::Unreadable(why),
            },
            _ => {
                // An incident event's data is the incident, or (a note, a responder) refers to it.
                let of = if data["incident"].is_object() { &data["incident"]["id"] } else { &data["id"] };
                match of.as_str() {
                    Some(id) if event_type.starts_with("incident.") && is_id(id) => of_incident(event, id),
                    _ => Kind::Other,
                }
            }
        };
        let occurred_at = event["occurred_at"].as_str().and_then(|text| text.parse().ok());
        // PostgreSQL refuses it in a text; an event with it must be stored all the same.
        let plain = |text: &str| text.replace('\0', "\u{fffd}");
        Self { id: plain(id), event_type: plain(event_type), occurred_at, kind }
    }

    /// The incident that it is about.
    pub fn incident_id(&self) -> Option<&str> {
        match &self.kind {
            Kind::Triggered(incident) | Kind::Reopened(incident) => Some(&incident.id),
            Kind::Annotated(annotation) => Some(&annotation.incident_id),
            Kind::Resolved { incident_id, .. } => Some(incident_id),
            Kind::OfIncident(id) => Some(id),
            // A drill is about no incident of PagerDuty's.
            Kind::Drill(_) | Kind::Other | Kind::Unreadable(_) => None,
        }
    }
}

/// An event about an incident whose id is known.
fn of_incident(event: &Value, id: &str) -> Kind {
    let (data, agent) = (&event["data"], &event["agent"]);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match event["event_type"].as_str() {
        Some("incident.resolved") => {
            Kind::Resolved { incident_id: id.to_owned(), title: text(&data["title"]).unwrap_or_default() }
        }
        Some("incident.annotated") => Kind::Annotated(Annotation {
            incident_id: id.to_owned(),
            content: text(&data["content"]).unwrap_or_default(),
            agent: text(&agent["id"]).map(|id| (id, text(&agent["summary"]).unwrap_or_default())),
        }),
        _ => Kind::OfIncident(id.to_owned()),
    }
}

/// Whether a text can be an incident's id, and stand in a URL: PagerDuty's are letters and digits;
/// a dash or an underscore does no harm.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn truncated(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(event_type: &str, data: Value) -> Vec<u8> {
        json!({"event": {"id": "E1", "event_type": event_type, "resource_type": "incident", "data": data}})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn a_triggered_incident() {
        let event = Event::read(&body(
            "incident.triggered",
            json!({"id": "Q1", "number": 7, "title": "t", "html_url": "u", "incident_key": null, "priority": null,
                   "service": {"id": "P1", "summary": "registry"}}),
        ));
        let Kind::Triggered(incident) = &event.kind else { panic!("{event:?}") };
        assert_eq!((incident.id.as_str(), incident.number, event.id.as_str()), ("Q1", 7, "E1"));
        assert_eq!(event.incident_id(), Some("Q1"));
    }

    #[test]
    fn a_drill_is_told_by_its_client_alone_and_is_about_no_incident() {
        let of = |event_type: &str, client: Value| {
            let data = json!({"id": "DRILL1", "title": "All SE endpoints down in prod-us-south"});
            let event = json!({"id": "E1", "event_type": event_type, "client": client, "data": data});
            Event::read(json!({"event": event}).to_string().as_bytes())
        };
        let drill = of("incident.triggered", json!({"name": DRILL}));
        assert!(matches!(drill.kind, Kind::Drill(_)) && drill.incident_id().is_none(), "{drill:?}");
        for client in [json!(null), json!({"name": "Monitoring"}), json!({"name": "se-responder drill "})] {
            assert!(matches!(of("incident.triggered", client).kind, Kind::Triggered(_)));
        }
        assert!(matches!(of("incident.reopened", json!({"name": DRILL})).kind, Kind::Reopened(_)));
    }

    #[test]
    fn odd_fields_cost_no_alert_its_run() {
        for odd in [
            json!({"number": -1, "html_url": null, "incident_key": 5, "service": "x"}),
            json!({"number": "7", "html_url": "javascript:x", "service": {"id": null, "summary": 3}}),
            json!({}),
        ] {
            let mut data = odd;
            data["id"] = json!("Q1");
            data["title"] = json!("All SE endpoints down in prod-us-south");
            let event = Event::read(&body("incident.triggered", data));
            let Kind::Triggered(incident) = &event.kind else { panic!("{event:?}") };
            assert_eq!((incident.number, incident.html_url.as_str()), (0, ""));
            assert_eq!(incident.service, ServiceRef::default());
        }
    }

    #[test]
    fn what_it_is_about() {
        let of = |event_type, data| Event::read(&body(event_type, data)).incident_id().map(str::to_owned);
        assert_eq!(of("incident.resolved", json!({"id": "Q1"})), Some("Q1".into()));
        assert_eq!(of("incident.annotated", json!({"id": "N1", "incident": {"id": "Q2"}})), Some("Q2".into()));
        assert_eq!(of("pagey.ping", json!({"message": "hello", "type": "ping"})), None);
        assert_eq!(of("service.updated", json!({"id": "P1"})), None);
    }

    #[test]
    fn what_cannot_be_read_is_kept_once() {
        for bad in [
            &b"\xff\x00"[..],
            b"",
            b"[]",
            b"{\"event\":{}}",
            b"{\"event\":{\"id\":\"\",\"event_type\":\"incident.triggered\"}}",
        ] {
            let event = Event::read(bad);
            assert!(matches!(event.kind, Kind::Unreadable(_)), "{event:?}");
            assert_eq!(event, Event::read(bad), "the same bytes are the same event");
        }
        for data in [json!({}), json!(null), json!({"id": "../Q", "title": "t"}), json!({"id": 5, "title": "t"})] {
            let event = Event::read(&body("incident.triggered", data));
            assert!(matches!(event.kind, Kind::Unreadable(_)), "{event:?}");
            assert_eq!(event.id, "E1");
        }
    }

    #[test]
    fn a_page_is_an_address_of_the_web_and_no_longer_than_one() {
        let page = |url: &str| {
            let data = json!({"id": "Q1", "title": "t", "html_url": url});
            let Kind::Triggered(incident) = Event::read(&body("incident.triggered", data)).kind else {
                panic!("{url}")
            };
            incident.html_url
        };
        for url in ["https://x.pagerduty.com/incidents/Q1", "http://x"] {
            assert_eq!(page(url), url);
        }
        let long = format!("https://{}", "x".repeat(MAX_URL - 8));
        assert_eq!(page(&long), long);
        for url in [format!("{long}x"), "https://x y".into(), format!("{long} y")] {
            assert_eq!(page(&url), "", "{url:.80}");
        }
    }

    #[test]
    fn an_event_is_known_by_its_own_id_and_type_where_they_can_be_kept() {
        let id = |id: &str, event_type: &str| {
            let data = json!({"id": "Q1", "title": "t"});
            let event = json!({"id": id, "event_type": event_type, "data": data});
            Event::read(json!({"event": event}).to_string().as_bytes()).id
        };
        let longest = "E".repeat(MAX_NAME);
        assert_eq!(id(&longest, "incident.triggered"), longest);
        for (bad, event_type) in
            [(format!("{longest}E").as_str(), "incident.triggered"), ("", "incident.triggered"), ("E1", "")]
        {
            assert!(id(bad, event_type).starts_with("sha256:"), "{bad:.20} {event_type}");
        }
    }

    #[test]
    fn what_may_be_an_incidents_id() {
        let longest = "Q".repeat(64);
        for id in ["Q1ABC", "q-1", "q_1", "0", &longest] {
            assert!(is_id(id), "{id}");
        }
        let too_long = "Q".repeat(65);
        for other in ["", "Q/1", "Q 1", "Q?1", "Q.1", "Ä", &too_long] {
            assert!(!is_id(other), "{other}");
        }
    }

    #[test]
    fn an_id_that_is_none_is_quoted_in_part() {
        let data = json!({"id": format!("../{}", "Q".repeat(200)), "title": "t"});
        let Kind::Unreadable(why) = Event::read(&body("incident.triggered", data)).kind else { panic!("no id") };
        assert_eq!(why, format!("\"../{}\" is no incident's id", "Q".repeat(77)));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = Event::read(&bytes);
        }
    }
}
