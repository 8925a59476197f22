//! `GET /glossary`: the manual's glossary, for who meets a word in a view and has no manual at hand.

use std::sync::LazyLock;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::{Looker, show};
use crate::http::auth::Reader;
use crate::http::{App, Problem};

/// The manual's page; each of its headings is a term.
const GLOSSARY: &str = include_str!("../../../docs/glossary.md");

/// A term and what it means.
#[derive(Debug)]
struct Entry {
    term: &'static str,
    /// Its place in the view.
    anchor: String,
    means: String,
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| entries(GLOSSARY));

fn entries(text: &'static str) -> Vec<Entry> {
    let entry = |part: &'static str| {
        let (term, means) = part.split_once('\n')?;
        let anchor = term.to_lowercase().replace(' ', "-");
        Some(Entry { term, anchor, means: means.split_whitespace().collect::<Vec<_>>().join(" ") })
    };
    text.split("\n## ").skip(1).filter_map(entry).collect()
}

#[derive(Template)]
#[template(path = "glossary.html")]
struct Page {
    looker: Looker,
    entries: &'static [Entry],
}

/// What the words mean. Nothing in it is of an alert, so anyone may read it.
#[utoipa::path(get, path = "/glossary", operation_id = "glossary_page", tag = "pages",
    security((), ("bearer" = []), ("session" = [])), responses(
    (status = 200, description = "The glossary", content_type = "text/html", body = String),
))]
pub(super) async fn page(State(app): State<App>, reader: Result<Reader, Problem>) -> Result<Response, Problem> {
    let looker = reader.map_or_else(|_| Looker::default(), |reader| Looker::of(&reader, &app));
    show(&Page { looker, entries: &ENTRIES })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_heading_is_an_entry() {
        let entries = entries("# Glossary\n\nWords.\n\n## Magic Box\n\nA reverse\nproxy.\n\n## Zone\n\nOne.\n");
        let shown: Vec<_> = entries.iter().map(|e| (e.term, e.anchor.as_str(), e.means.as_str())).collect();
        assert_eq!(shown, [("Magic Box", "magic-box", "A reverse proxy."), ("Zone", "zone", "One.")]);
    }

    /// What a newcomer meets in a note, a view or the runbook has an entry, and each says something; they are in order.
    #[test]
    fn every_word_that_a_newcomer_meets_is_explained() {
        for term in [
            "Alert",
            "Back end",
            "CIE",
            "Cloud Service Endpoint",
            "Front end",
            "GHE",
            "GLB",
            "Healthcheck cluster",
            "IKS",
            "konicle",
            "Magic Box",
            "Magic Box ID",
            "Page",
            "pCIE",
            "Private ingress",
            "RCA",
            "Reading",
            "Region",
            "Registry",
            "Run",
            "SE",
            "SE status",
            "Transient",
            "Upstream status",
            "Verdict",
            "VRF",
            "Zone",
        ] {
            assert!(ENTRIES.iter().any(|entry| entry.term == term), "{term} is not explained");
        }
        assert!(ENTRIES.iter().all(|entry| entry.means.len() > 30), "{ENTRIES:#?}");
        assert!(ENTRIES.is_sorted_by_key(|entry| entry.term.to_lowercase()), "{ENTRIES:#?}");
        let has_markdown = |entry: &Entry| entry.means.contains(['`', '*']) || entry.means.contains("](");
        assert!(!ENTRIES.iter().any(has_markdown), "the view shows text as it is");
    }
}
