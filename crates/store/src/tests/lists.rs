//! Lists of runs by every combination of filters, and what they go by in a database of before (migration 310).

use runbook::diagnosis::{Rule, VerdictKind};
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, Connection as _};

use super::*;
use crate::migrations::MIGRATIONS;

const REGIONS: [&str; 3] = ["prod-us-south", "prod-eu-de", "prod-nowhere"];

#[tokio::test]
async fn every_combination_of_filters_finds_what_a_look_at_each_run_finds() {
    let disk = Disk::new().await;
    let states: Vec<Option<State>> = std::iter::once(None).chain(State::ALL.iter().copied().map(Some)).collect();
    let kinds: Vec<Option<VerdictKind>> =
        std::iter::once(None).chain(VerdictKind::ALL.iter().copied().map(Some)).collect();
    let (mut runs, mut n) = (Vec::new(), 0);
    for region in &REGIONS[..2] {
        for state in &states[1..] {
            for kind in &kinds {
                for _ in 0..2 {
                    n += 1;
                    let id = format!("r{n:03}");
                    sqlx::query(
                        "INSERT INTO runs (id, region, triggered_by, state, created_at, verdict, rule)
                         VALUES ($1, $2, 'rerun', $3, 0, $4, $5)",
                    )
                    .bind(&id)
                    .bind(*region)
                    .bind(state.unwrap().as_str())
                    .bind(kind.map(VerdictKind::as_str))
                    .bind(kind.map(|_| Rule::MixedStatus.as_str()))
                    .execute(&disk.store.pool)
                    .await
                    .unwrap();
                    runs.push((id, *region, *state, *kind));
                }
            }
        }
    }
    runs.reverse();
    for region in [None].into_iter().chain(REGIONS.map(Some)) {
        for state in &states {
            for kind in &kinds {
                for before in [None, Some("r100")] {
                    let asked = Filter {
                        region: region.map(str::to_owned),
                        state: *state,
                        verdict: *kind,
                        before: before.map(str::to_owned),
                        limit: 7,
                        ..Filter::default()
                    };
                    let is_meant = |(id, of, is, says): &&(String, &str, Option<State>, Option<VerdictKind>)| {
                        region.is_none_or(|region| region == *of)
                            && (state.is_none() || state == is)
                            && (kind.is_none() || kind == says)
                            && before.is_none_or(|before| id.as_str() < before)
                    };
                    let meant: Vec<&String> = runs.iter().filter(is_meant).take(7).map(|(id, ..)| id).collect();
                    let found = disk.store.runs(&asked).await.unwrap();
                    assert_eq!(found.iter().map(|run| &run.id).collect::<Vec<_>>(), meant, "{asked:?}");
                }
            }
        }
    }
    // What a list of all shows: the newest, and what goes on, however old.
    let newest = runs.iter().take(7);
    let active = runs.iter().filter(|(_, _, state, _)| state.is_some_and(State::is_active)).take(7);
    let mut meant: Vec<&String> = newest.chain(active).map(|(id, ..)| id).collect();
    meant.sort_by(|a, b| b.cmp(a));
    meant.dedup();
    assert!(meant.len() > 7, "some that go on are older");
    let shown = disk.store.newest_and_active(7).await.unwrap();
    assert_eq!(shown.iter().map(|run| &run.as_ref().unwrap().id).collect::<Vec<_>>(), meant);
}

/// A diagnosis's verdict is a filter's from the moment that it is kept.
#[tokio::test]
async fn a_verdict_that_is_kept_is_found_by_it() {
    let disk = Disk::new().await;
    let id = disk.run("Q1").await;
    let lease = disk.store.claim_run().await.unwrap().unwrap();
    let diagnosis = leases::diagnosis();
    disk.store.set_diagnosis(&lease, &diagnosis, (runbook::run::EscalationState::None, None), &[]).await.unwrap();
    for kind in VerdictKind::ALL {
        let filter = Filter { verdict: Some(*kind), incident_id: Some("Q1".into()), limit: 5, ..Filter::default() };
        let found = disk.store.runs(&filter).await.unwrap();
        assert_eq!(found.iter().any(|run| run.id == id), *kind == diagnosis.verdict.kind, "{kind}");
    }
}

#[tokio::test]
async fn verdicts_and_drills_of_a_database_of_before_are_found() {
    let (_folder, url) = Disk::place();
    sqlx::any::install_default_drivers();
    let url_made = if url.starts_with("sqlite") { format!("{url}?mode=rwc") } else { url.clone() };
    let mut database = AnyConnection::connect(&url_made).await.unwrap();
    let before = MIGRATIONS.iter().filter(|migration| migration.version <= 100).cloned().collect();
    let before = Migrator { migrations: std::borrow::Cow::Owned(before), ..Migrator::DEFAULT };
    before.run_direct(None, &mut database, false).await.unwrap();
    let mut made = leases::diagnosis();
    let mut stored = Vec::new();
    for (n, kind) in VerdictKind::ALL.iter().enumerate() {
        (made.verdict.kind, made.verdict.rule) = (*kind, Rule::ALL[n]);
        stored.push((format!("kind-{n}"), serde_json::to_string(&made).unwrap()));
    }
    for (n, spoilt) in ["{", "", "{\"verdict\":1}", "{\"region\":\"x\",\"verdict\":{\"kind\":\"regi"].iter().enumerate()
    {
        stored.push((format!("spoilt-{n}"), (*spoilt).to_owned()));
    }
    let insert = "INSERT INTO runs (id, region, triggered_by, state, created_at, due_at, diagnosis, incident)
         VALUES ($1, 'prod-us-south', 'webhook', 'done', 0, 0, $2, $3)";
    for (id, diagnosis) in &stored {
        sqlx::query(insert).bind(id).bind(diagnosis).bind(None::<String>).execute(&mut database).await.unwrap();
    }
    let drill = run_of("Q_DRILL-7").incident.unwrap();
    for (id, incident) in [("drill", serde_json::to_string(&drill).unwrap()), ("spoilt-drill", "{\"id\":\"Q2".into())] {
        sqlx::query(insert).bind(id).bind(None::<String>).bind(incident).execute(&mut database).await.unwrap();
    }
    database.close().await.unwrap();

    let clock = ManualClock::at("2026-08-20T03:00:00Z".parse().unwrap());
    let store = Store::open(&url, clock).await.unwrap();
    for (n, kind) in VerdictKind::ALL.iter().enumerate() {
        let found = store.runs(&Filter { verdict: Some(*kind), limit: 9, ..Filter::default() }).await.unwrap();
        assert_eq!(found.iter().map(|run| run.id.clone()).collect::<Vec<_>>(), [format!("kind-{n}")], "{kind}");
    }
    let rules: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT id, rule FROM runs").fetch_all(&store.pool).await.unwrap();
    for (id, rule) in &rules {
        let n = id.strip_prefix("kind-").map(|n| n.parse::<usize>().unwrap());
        assert_eq!(rule.as_deref(), n.map(|n| Rule::ALL[n].as_str()), "{id}");
    }
    for (id, is) in [("Q_DRILL-7", true), ("Q2", false), ("Q_DRILL", false)] {
        assert_eq!(store.is_drill(id).await.unwrap(), is, "{id}");
    }
    store.close().await;
}
