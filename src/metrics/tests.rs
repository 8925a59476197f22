use super::*;

/// A row of the manual: name, shape, and its words.
#[test]
fn the_manual_lists_every_metric_and_no_other() {
    let manual = include_str!("../../docs/metrics.md");
    let rows: Vec<Vec<&str>> = manual
        .lines()
        .filter(|line| line.starts_with("| `se_responder_"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), ALL.len());
    for (name, shape, _, label, words) in ALL {
        let row = rows.iter().find(|row| row[1] == format!("`{name}`")).unwrap_or_else(|| panic!("no row of {name}"));
        assert_eq!(row[2], format!("{shape:?}").to_lowercase(), "{name}");
        assert!(label.is_empty() || row[3].contains(&format!("`{label}`")), "{name}: label {label}");
        for word in words.iter().filter(|_| name != BUILD) {
            assert!(row[3].contains(&format!("`{word}`")), "{name}: {word}");
        }
        assert!(row[4].len() > 7 && row[5].len() > 1, "{name} says what it means and what to alert on");
    }
}

#[test]
fn all_is_there_before_anything_happened() {
    install().unwrap();
    install().unwrap();
    let canary = Some(Outcome::NotGood);
    let waiting = Waiting {
        suppressed: 3,
        oldest: Duration::from_millis(1500),
        canary,
        canary_good: 1_755_651_600,
        unacknowledged: 2,
        reconciled: 1_755_651_700,
        ..Waiting::default()
    };
    assert!(!render(&waiting, None).contains(INGEST), "absent where it is not known");
    assert!(render(&waiting, Some(false)).contains("\nse_responder_ingest_proven 0\n"));
    let text = render(&waiting, Some(true));
    assert!(text.contains("\nse_responder_ingest_proven 1\n"), "{text}");
    for (name, shape, help, label, words) in ALL.into_iter().filter(|m| m.1 != Shape::Histogram) {
        assert!(text.contains(&format!("# HELP {name} {help}")), "{name} in {text}");
        assert!(text.contains(&format!("# TYPE {name} {}", format!("{shape:?}").to_lowercase())), "{name}");
        for word in words {
            assert!(text.contains(&format!("{name}{{{label}=\"{word}\"")), "{name} {word} in {text}");
        }
    }
    assert!(text.contains("se_responder_runs{state=\"suppressed\"} 3"), "{text}");
    assert!(text.contains("se_responder_oldest_waiting_run_seconds 1.5"), "{text}");
    assert!(text.contains("se_responder_canary_last_good_timestamp_seconds 1755651600"), "{text}");
    assert!(text.contains("se_responder_pages_unacknowledged 2\n"), "{text}");
    assert!(text.contains("se_responder_reconcile_success_timestamp_seconds 1755651700"), "{text}");
    for (outcome, is) in [("good", 0), ("not_good", 1), ("incomplete", 0), ("failed", 0)] {
        assert!(text.contains(&format!("se_responder_canary_outcome{{outcome=\"{outcome}\"}} {is}")), "{text}");
    }
}
