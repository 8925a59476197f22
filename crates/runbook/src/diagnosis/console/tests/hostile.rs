//! Consoles that are cut, broken, huge or meant badly.

use super::*;

/// The first zone's array broken off by `what`, then the second zone's whole.
fn broken_by(first: &str, what: &str) -> Console {
    parse(format!("{first}{what}{}\n", of_zone(2, "0:1")).as_bytes())
}

#[test]
fn an_array_cut_off_anywhere_loses_nothing_else() {
    let whole = of_zone(1, "0:1");
    let pretty = whole.replace(',', ",\n  ").replace('[', "[\n  ");
    for (text, separators) in [
        (
            &whole,
            &["", " ", ",", "\n", "\n2026-08-01 10:00:00 INFO a line\n", "\n[Pipeline] sh\n", "\n+ echo [1]\n"][..],
        ),
        (&pretty, &["\n", "\n10:00:00 ERROR (a line) with \"quotes\"\n", "\n[Pipeline] }\n", "\n\n\n"][..]),
    ] {
        // From where the name can be told to be a box's: `["registry-` on.
        let from = text.find("registry-").expect("a name") + "registry-".len();
        for end in from..text.len() - 1 {
            for separator in separators {
                let console = broken_by(&text[..end], separator);
                let seen = format!("{:?} {separator:?} {console:?}", &text[..end]);
                assert_eq!(names(&console), ["registry-prod-us-south-az2-1"], "{seen}");
                assert_eq!(console.warnings.len(), 1, "{seen}");
                assert!(console.unreadable[0].starts_with("registry-"), "{seen}");
                if end > text.find(',').expect("a comma") {
                    assert_eq!(console.unreadable, ["registry-prod-us-south-az1-1"], "{seen}");
                }
            }
        }
    }
}

#[test]
fn an_array_cut_off_by_the_end() {
    let text = format!("{}\n{SAMPLE}", of_zone(3, "0:1"));
    let end = text.rfind(']').expect("an end");
    let console = parse(&text.as_bytes()[..end]);
    assert_eq!(names(&console), ["registry-prod-us-south-az3-1", "registry-prod-us-south-az1-1"]);
    assert_eq!(console.unreadable, ["registry-prod-global-az2-1"]);
    assert_eq!(
        console.warnings,
        ["a Magic Box that can't be read: it is cut off by the end of the console: [ \"registry-prod-global-az2-1\", \
          \"us-east-wdc06-container-registry-registry-prod-global-az2-1-vm-efd79a11\", \"Ready\", \
          \"10.188.123.182:0:0\", \"166.9.22.3/23\""]
    );
}

#[test]
fn a_quote_shows_what_cannot_be_seen_and_has_an_end() {
    let text = format!("[\"registry-prod-us-south-az1-1\", \"\u{202e}\u{7}\u{0}{}\", \"Ready\"]", "é".repeat(5000));
    let console = parse(text.as_bytes());
    let warning = &console.warnings[0];
    assert!(warning.contains(r"\u{202e}\u{7}\0é"), "{warning}");
    assert!(warning.chars().count() < 500, "{warning}");
    assert!(warning.ends_with('…') || warning.contains('…'), "{warning}");
    let console =
        parse(b"[\"registry-prod-us-south-az1-1\", \"a\xff\xfe\", \"Ready\", \"10.0.0.1:1:1\", \"1.1.1.1/8\"]");
    assert!(console.warnings[0].contains("its Magic Box ID \"a\u{fffd}\u{fffd}\" is too long or no valid text"));
}

#[test]
fn absurd_lengths_are_wrong_shapes() {
    let long = "a".repeat(100_000);
    for (right, wrong) in [
        ("registry-prod-us-south-az1-1\"", format!("registry-prod-us-south-az1-{}\"", "1".repeat(100_000))),
        ("vm-0", format!("vm-{long}")),
        ("vm-0", format!("vm-{}", "a".repeat(200))),
        ("Ready", long.clone()),
        ("Ready", "a".repeat(81)),
        ("166.9.1.1/23", format!("166.9.1.1/{}23", "0".repeat(99))),
        ("10.0.0.1:0:1", format!("10.0.0.1:0:{}1", "0".repeat(99))),
    ] {
        let console = parse(of_zone(1, "0:1").replacen(right, &wrong, 1).as_bytes());
        assert_eq!((console.boxes.len(), console.warnings.len()), (0, 1), "{right}");
        assert!(console.warnings[0].chars().count() < 600, "{right}");
        assert!(console.unreadable.iter().all(|n| n.chars().count() <= 201), "{right}");
    }
    let fields = format!("[\"registry-a-az1-1\"{}]", ",\"x\"".repeat(100_000));
    assert!(parse(fields.as_bytes()).warnings[0].contains("it has 100001 fields instead of 5"));
}

#[test]
fn warnings_are_bounded_and_the_rest_is_counted() {
    let text: String = (0..1000).map(|i| of_zone(i, "7:7") + "\n").collect();
    let console = parse(text.as_bytes());
    assert_eq!(console.warnings.len(), 41);
    assert_eq!(console.warnings[40], "and 960 more such warnings");
    assert_eq!(console.unreadable.len(), 1000, "each zone that can't be relied on is known");
    assert_eq!(parse(format!("{0}\n{0}", of_zone(1, "7:7")).as_bytes()).warnings.len(), 1, "the same one is said once");
}

#[test]
fn boxes_over_the_bound_count_as_unreadable() {
    let text: String = (0..2003).map(|i| of_zone(1, "0:1").replace("az1-1", &format!("az1-{i}")) + "\n").collect();
    let console = parse(text.as_bytes());
    assert_eq!(console.boxes.len(), 2000);
    assert_eq!(console.unreadable.len(), 3);
    assert_eq!(console.warnings, ["more than 2000 Magic Boxes are printed: the others count as unreadable"]);
}

#[test]
fn with_too_many_unreadable_ones_nothing_is_used() {
    let names = |count: usize| -> String {
        (0..count).map(|i| of_zone(1, "9:9").replace("az1-1", &format!("az1-{i}")) + "\n").collect()
    };
    let console = parse(format!("{}{}", of_zone(2, "0:1"), names(2000)).as_bytes());
    assert_eq!((console.boxes.len(), console.unreadable.len()), (1, 2000));
    let console = parse(format!("{}{}", of_zone(2, "0:1"), names(2001)).as_bytes());
    assert_eq!((console.boxes.len(), console.unreadable.len()), (0, 2000));
    assert_eq!(
        console.warnings.last().map(String::as_str),
        Some("more than 2000 Magic Boxes can't be read: nothing of this console is used")
    );
}

/// What the parser holds, in bytes.
fn held(parser: &Parser) -> usize {
    format!("{parser:?}").len()
}

#[test]
fn memory_does_not_grow_with_the_console() {
    for piece in [
        "[",
        "\"",
        "a",
        "[\"",
        "[\"a\",",
        "\x1b[",
        "\x1b]",
        " ",
        "\n",
        "x,",
        "{\"a\":[\"b\"]}\n",
        "[Pipeline] x\n",
        "[",
    ] {
        let mut parser = Parser::default();
        let piece = piece.repeat(1000);
        for _ in 0..200 {
            parser.feed(piece.as_bytes());
        }
        assert!(held(&parser) < 20_000, "{:?}: {}", &piece[..4.min(piece.len())], held(&parser));
        parser.feed(format!("\n{SAMPLE}").as_bytes());
        assert_eq!(parser.finish().boxes, [south(), global()], "{:?}", &piece[..4.min(piece.len())]);
    }
}

mod any {
    use proptest::prelude::*;

    use super::*;

    /// Pieces that matter to the parser, so that random texts reach all of it.
    fn fragment() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => Just(SAMPLE.to_owned()),
            2 => (1usize..4, "(0|1|2):(-1|0|1|x)").prop_map(|(n, statuses)| of_zone(n, &statuses)),
            1 => (0..SAMPLE.len()).prop_map(|end| SAMPLE[..end].to_owned()),
            1 => (0..SAMPLE.len()).prop_map(|start| SAMPLE[start..].to_owned()),
            2 => prop_oneof![
                Just("["), Just("]"), Just("\""), Just(","), Just("\n"), Just("\r"), Just("\r\n"), Just("\\"), Just("é☃"),
                Just("\x1b[31m"), Just("\x1b[8m"), Just("\x1b[0m"), Just("\x1b"), Just("\x1b]0;"), Just("\x07"),
                Just("10:00:00 "), Just("[2026-08-01T10:00:00.123Z] "), Just("[Pipeline] sh\n"), Just(" "), Just("registry-"),
            ].prop_map(str::to_owned),
            1 => (500usize..530).prop_map(|n| "x".repeat(n)),
            1 => ".{0,20}",
        ]
    }

    fn in_pieces(bytes: &[u8], cuts: &[proptest::sample::Index]) -> Console {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut parser = Parser::default();
        for pair in cuts.windows(2) {
            parser.feed(&bytes[pair[0]..pair[1]]);
        }
        parser.finish()
    }

    proptest! {
        #[test]
        fn bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            parse(&bytes);
        }

        #[test]
        fn cuts_make_no_difference(
            fragments in proptest::collection::vec(fragment(), 0..12),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
        ) {
            let text = fragments.concat();
            let whole = parse(text.as_bytes());
            prop_assert_eq!(&in_pieces(text.as_bytes(), &cuts), &whole);
            let mut parser = Parser::default();
            text.as_bytes().iter().for_each(|b| parser.feed(std::slice::from_ref(b)));
            prop_assert_eq!(&parser.finish(), &whole);
        }

        #[test]
        fn whatever_came_before_the_boxes_are_found(
            fragments in proptest::collection::vec(fragment(), 0..12),
        ) {
            let text = format!("{}\n[\"zone-x-1\",\"vm\",\"Ready\",\"10.0.0.9:0:1\",\"166.9.9.9/23\"]\n", fragments.concat());
            prop_assert!(parse(text.as_bytes()).boxes.iter().any(|b| b.name == "zone-x-1"), "{}", text);
        }
    }
}
