//! The same boxes, printed in every way that a console may print them.

use super::*;

#[test]
fn on_one_line() {
    let line = |name: &str| {
        let start = SAMPLE.find(&format!("[\n  \"{name}")).expect("an element");
        let end = SAMPLE[start..].find(']').expect("its end");
        SAMPLE[start..=start + end].replace('\n', "")
    };
    let (a, b) = (line("registry-prod-us-south-az1-1"), line("registry-prod-global-az2-1"));
    for text in [
        format!("{a}\n{b}"),
        format!("{a}{b}"),
        format!("{a}, {b}"),
        format!("[{a},{b}]"),
        format!("[ [{a}] , [{b}] ]"),
        format!("{{\"statuses\":[{a},{b}],\"n\":2}}"),
        format!("+ echo '{a}' '{b}'"),
        format!("10:00:00 [INFO] result: {a}\n10:00:00 [INFO] result: {b}"),
        format!("{}{a}{}{b}", "x".repeat(2000), "y".repeat(2000)),
        format!("{}{a}{}{b}", " ".repeat(HEAD - 3), "[".repeat(2000)),
        format!("[{a},\n{b}]").replace(',', " , "),
    ] {
        assert_sample(&text);
    }
}

#[test]
fn a_long_line_has_its_prefix_at_its_beginning_only() {
    // Wherever the line's head ends, in the middle of a field too, nothing is taken for a prefix there.
    let text = of_zone(1, "0:1").replace("Ready", "Not [x] 10:00:00   ready");
    for pad in HEAD - text.len()..=HEAD {
        let console = parse(format!("{}{text}", " ".repeat(pad)).as_bytes());
        assert_eq!(console.boxes[0].node, "Not [x] 10:00:00   ready", "{pad}");
        let mut parser = Parser::default();
        format!("{}{text}", " ".repeat(pad)).bytes().for_each(|b| parser.feed(&[b]));
        assert_eq!(parser.finish(), console, "{pad}");
    }
}

#[test]
fn in_an_outer_array() {
    let inner = SAMPLE.replace("...\n", "").replace("]\n[", "],\n[");
    assert_sample(&format!("[\n{inner}]\n"));
    assert_sample(&format!("[\n{}]\n", each_line(&inner, |_| "  ".into())));
    assert_sample(&format!("[{inner}]").replace("]\n,", "]\n, "));
}

#[test]
fn line_ends() {
    assert_sample(&SAMPLE.replace('\n', "\r\n"));
    assert_sample(&SAMPLE.replace('\n', "\r"));
    assert_sample(&SAMPLE.replace('\n', "\n\n"));
    assert_sample(SAMPLE.trim_end_matches("\n...\n"));
    assert_sample(&SAMPLE.replace("  \"", "\t\""));
}

#[test]
fn colours_and_hidden_notes() {
    assert_sample(&SAMPLE.replace('"', "\x1b[0;32m\"\x1b[0m"));
    assert_sample(&SAMPLE.replace('[', "\x1b[1m[\x1b[m").replace(']', "\x1b[38;5;8m]\x1b[K"));
    assert_sample(&SAMPLE.replace("Ready", "Re\x1b[31mad\x1b(By"));
    assert_sample(&SAMPLE.replace("Ready", "Re\x1b]8;;http://x/[\"a\x07ady\x1b]0;t\x1b\\"));
    assert_sample(&each_line(SAMPLE, |_| "\x1b[8mha:////4Ab[\"+c/==\x1b[0m".into()));
    assert_sample(&SAMPLE.replace("...\n", "\x1b[8mha:never ended\n\x1b]never\n\x1b[\n\x1b\n\x1b(\n"));
}

#[test]
fn a_sequence_that_is_none_hides_no_text() {
    assert_sample(&SAMPLE.replace("  \"", "\x1b\u{1}  \"").replace('\u{1}', " \x1b[0m\x1b[\x1b[0m"));
    assert_eq!(parse(b"\x1b[8;1m[\"registry-a-az1-1\"").warnings.len(), 1, "only 8 alone hides");
    assert_eq!(parse(b"\x1b[8m[\"registry-a-az1-1\"").warnings.len(), 0);
}

#[test]
fn prefixes_before_every_line() {
    let prefixes: [fn(usize) -> String; 12] = [
        |i| format!("[2026-08-01T10:00:0{}.{i:03}Z] ", i % 10),
        |i| format!("10:00:{i:02}  "),
        |i| format!("2026-08-01 10:00:{i:02} "),
        |i| format!("2026-08-01 10:00:{i:02},{i:03} "),
        |_| "[Pipeline] ".into(),
        |_| "[registry-prod-us-south-az1] ".into(),
        |_| "[registry-prod-us-south-az1-1] ".into(),
        |i| format!("10:00:{i:02} [a, b] "),
        |i| format!("web-{} | ", i % 10),
        |i| format!("10:00:01.{i} INFO  "),
        |i| format!("{i:06} > "),
        |i| format!("Aug {:02} 10:00:00 host job[12]: ", i + 1),
    ];
    for prefix in prefixes {
        assert_sample(&each_line(SAMPLE, prefix));
        assert_sample(&each_line(&format!("[\n{SAMPLE}]"), prefix));
        assert_sample(&each_line(SAMPLE, prefix).replace('\n', "\r\n"));
    }
}

/// Prefixes of the line with this number, that many tenths of a second after the first.
const GROWING: [fn(usize) -> String; 14] = [
    |i| format!("#12 {}.{}00 ", i / 10, i % 10),
    |i| format!("{i}ms "),
    |i| format!("{i}: "),
    |i| format!("{i:>4} | "),
    |i| format!("{i:<4}| "),
    |i| format!("{i:04}> "),
    |i| format!("({i}/2000) "),
    |i| format!("[{i}/2000]: "),
    |i| format!("{}:{:02} - ", i / 60, i % 60),
    |i| format!("{}> ", seconds(i)),
    |i| format!("<pool-{}-thread-{i}> ", i / 10),
    |i| format!("[thread-{i}] INFO {}\t", i * 7),
    |i| format!("<10:00:{:02}.{}> ", i / 100 % 60, (i % 100).to_string().trim_end_matches('0')).replace(".>", ">"),
    |i| format!("{}:{:02}:00 ", i / 10, i % 60),
];

/// As Go writes a length of time.
fn seconds(i: usize) -> String {
    match i {
        0..60 => format!("{i}s"),
        _ => format!("{}m{}s", i / 60, i % 60),
    }
}

#[test]
fn prefixes_that_grow_with_their_numbers() {
    for prefix in GROWING {
        // Whichever line is the one on which it becomes longer.
        for start in (0..20).chain(45..62).chain(80..102).chain(985..1002) {
            assert_sample(&each_line(SAMPLE, |i| prefix(start + i)));
        }
        let text = each_line(&format!("[\n{SAMPLE}]"), |i| prefix(90 + i));
        assert_sample(&text);
        assert_sample(&text.replace('\n', "\r\n"));
        assert_sample(&each_line(SAMPLE, |i| format!("\u{1b}[2m{}\u{1b}[0m", prefix(92 + i))));
    }
}

#[test]
fn the_lines_of_two_that_take_turns_are_not_mixed() {
    // `web-10` is not `db-9`, whatever stands behind: the array is broken off, not filled with another's text.
    let text = each_line(SAMPLE, |i| format!("web-{i} | ")).replace("web-4 | ", "db-4 | \"x\"\nweb-4 | ");
    let console = parse(text.as_bytes());
    assert_eq!(console.boxes, [global()], "{console:?}");
    assert_eq!(console.unreadable, ["registry-prod-us-south-az1-1"]);
}

#[test]
fn the_beginning_may_stand_on_the_line_of_the_bracket() {
    let text = SAMPLE.replace("[\n  ", "result: [ ").replace("\n]", " ]");
    assert_sample(&text);
    assert_sample(&each_line(&text, |i| format!("10:00:{i:02} ")));
}

#[test]
fn noise_between() {
    let noise = r#"[Pipeline] sh
+ echo [1]
+ [ -z "registry-prod-us-south-az1-1" ]
{"a": ["b", {"c": [1, 2, []]}], "d": "["}
[ 12%] Building
[
[]
[ ]
["a", "b"]
["registry-prod-us-south-az1","registry-prod-us-south-az2","registry-prod-us-south-az3"]
["registry-prod-us-south-az1-1","registry-prod-us-south-az1-2"]
[registry-prod-us-south-az1-1] running
zones: [registry-prod-us-south-az1, registry-prod-us-south-az2]
[1, 2, 3, 4, 5]
["GET", "/status", "200", "10.0.0.1:8080", "12ms"]
["a", "b", "c", "10:00:00", "10.0.0.0/8"]
[ERROR] ["unclosed
["unclosed", 
x [unclosed
["dal10-1", "dal10-2",
["registry-prod-us-south-az1", "registry-prod-us-south-az2"
["registry-prod-us-south-az1","registry-prod-us-south-az1-1","registry-prod-us-south-az1-2"]
[[[[[["
see "[\"x\", \"y\"]"
] ] ]]] , " ' }
Finished: SUCCESS
"#;
    assert_eq!(parse(noise.as_bytes()), Console::default());
    for line in noise.lines() {
        assert_sample(&format!("{line}\n{}", SAMPLE.replace("]\n[", &format!("]\n{line}\n["))));
        assert_sample(&each_line(&format!("{line}\n{SAMPLE}{line}"), |i| format!("[10:00:{i:02}] ")));
        assert_sample(&each_line(&format!("{line}\n{SAMPLE}{line}"), |i| format!("web-{i:02} | ")));
        let one_line: Vec<_> = (1..=3).map(|n| of_zone(n, "0:1")).collect();
        let console = parse(one_line.join(&format!("\n{line}\n")).as_bytes());
        assert_eq!((console.boxes.len(), console.warnings.len()), (3, 0), "{line}");
    }
}

#[test]
fn what_is_meant_as_a_box() {
    for (array, is_one) in [
        (r#"["dal-1","b","c","d","1.1.1.1/8"]"#, true),
        (r#"["registry-x-az1","b","c","d","1.1.1.1/8"]"#, true),
        (r#"["x","box of x","c","d","1.1.1.1/8"]"#, true),
        (r#"["a","b","c","d","1.1.1.1/8"]"#, false),
        (r#"["a","b","c","1.1.1.1:5:5"]"#, true),
        (r#"["a","b","1.1.1.1:5:5","c"]"#, false),
        (r#"["dal-1","vm-of-dal-1-x"]"#, true),
        (r#"["registry-x-az1","vm-registry-x-az1-1"]"#, true),
        (r#"["x","box of x"]"#, false),
        (r#"["dal-1","b"]"#, false),
        (r#"["dal-1"]"#, false),
        (r#"["registry-azure-1","b"]"#, false),
        (r#"["registry-azure-az1-1","b"]"#, true),
        (r#"["registry-azure-az1-1"]"#, true),
        (r#"["registry-azure-az1"]"#, false),
        (r#"["registry-x-az1-1",null]"#, true),
        (r#"["dal-1""#, true),
        (r#"["dal-1",null"#, true),
        (r#"["dal-1","dal-2""#, false),
        (r#"["dal-1","dal-2",null"#, false),
        (r#"["dal-1","dal-2"#, true),
        (r#"["registry-x"#, true),
        (r#"["regist"#, false),
    ] {
        let console = parse(array.as_bytes());
        assert_eq!((console.warnings.len(), console.unreadable.is_empty()), (usize::from(is_one), !is_one), "{array}");
    }
}

mod generated {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn a_box()(
            zone in "[a-z][a-z0-9-]{0,30}", index in 0u32..100, id in "[!-~&&[^\"\\\\\\[]]{1,80}",
            node in "(Ready|NotReady|Ready,SchedulingDisabled|Unknown state)",
            back in any::<std::net::IpAddr>(), front in any::<std::net::Ipv4Addr>(), length in 0u8..=32,
            se in 0u8..=1, upstream in -1i8..=1,
        ) -> MagicBox {
            MagicBox {
                name: format!("{zone}-{index}"), magic_box_id: id, node, backend_ip: back.to_string(),
                frontend: format!("{front}/{length}"), se_status: se, upstream_status: upstream,
            }
        }
    }

    fn printed(b: &MagicBox, layout: u8) -> String {
        let backend = format!("{}:{}:{}", b.backend_ip, b.se_status, b.upstream_status);
        let fields = [&b.name, &b.magic_box_id, &b.node, &backend, &b.frontend].map(|f| format!("\"{f}\""));
        match layout % 4 {
            0 => format!("[\n  {}\n]", fields.join(",\n  ")),
            1 => format!("[{}]", fields.join(",")),
            2 => format!("[ {} ]", fields.join(" , ")),
            _ => format!("[{}\n]", fields.join(",\n")),
        }
    }

    /// A piece of what stands before each line; a number is that of the line.
    #[derive(Clone, Debug)]
    enum Piece {
        Text(&'static str),
        Number { width: usize, zeros: bool, left: bool },
        Tenths,
    }

    impl Piece {
        fn of_line(&self, line: usize) -> String {
            match *self {
                Self::Text(text) => text.to_owned(),
                Self::Number { width, zeros: true, .. } => format!("{line:0width$}"),
                Self::Number { width, left: true, .. } => format!("{line:<width$} "),
                Self::Number { width, .. } => format!("{line:>width$}"),
                Self::Tenths => format!("{}.{}", line / 10, line % 10),
            }
        }
    }

    /// A number always has something behind it: two that touch would become one.
    fn a_piece() -> impl Strategy<Value = Vec<Piece>> {
        let texts = [
            "#", "step ", "| ", " ", "(", ") ", "line ", "worker-", "> ", "ms ", "s: ", "/", "INFO ", "\t", ": ", "-",
            "x",
        ];
        let text = || proptest::sample::select(texts.to_vec());
        let around = prop_oneof![3 => (text(), text()), 1 => Just(("[", "] ")), 1 => Just(("[", "]: ")), 1 => Just(("[", "/20]"))];
        let number = prop_oneof![
            (0usize..5, any::<bool>(), any::<bool>()).prop_map(|(width, zeros, left)| Piece::Number {
                width,
                zeros,
                left
            }),
            Just(Piece::Tenths),
        ];
        (around, number).prop_map(|((before, behind), number)| vec![Piece::Text(before), number, Piece::Text(behind)])
    }

    proptest! {
        #[test]
        fn whatever_grows_before_each_line_the_sample_has_its_boxes(
            pieces in proptest::collection::vec(a_piece(), 0..4), start in 0usize..1100, pace in 1usize..300, crlf in any::<bool>(),
        ) {
            let prefix = |i: usize| pieces.iter().flatten().map(|piece| piece.of_line(start + i * pace)).collect::<String>();
            let mut text = each_line(SAMPLE, prefix);
            if crlf {
                text = text.replace('\n', "\r\n");
            }
            let console = parse(text.as_bytes());
            prop_assert_eq!(&console.warnings, &Vec::<String>::new(), "{}", text);
            prop_assert_eq!(console.boxes, [south(), global()], "{}", text);
        }

        #[test]
        fn generated_boxes_come_back(
            boxes in proptest::collection::vec((a_box(), any::<u8>()), 0..8),
            separator in prop_oneof![Just("\n"), Just(",\n"), Just(", "), Just("\n[Pipeline] echo\n"), Just("\r\n\r\n")],
            outer in any::<bool>(), crlf in any::<bool>(),
            prefix in prop_oneof![
                Just(""), Just("[2026-08-01T10:00:00.123Z] "), Just("10:00:00  "), Just("web-1 | "), Just("\u{1b}[32m\u{1b}[0m"),
            ],
        ) {
            let texts: Vec<_> = boxes.iter().map(|(b, layout)| printed(b, *layout)).collect();
            let mut text = texts.join(separator);
            if outer {
                text = format!("[\n{text}\n]");
            }
            text = each_line(&text, |_| prefix.to_owned());
            if crlf {
                text = text.replace('\n', "\r\n");
            }
            let console = parse(text.as_bytes());
            prop_assert_eq!(&console.warnings, &Vec::<String>::new());
            let boxes: Vec<_> = boxes.into_iter().map(|(b, _)| b).collect();
            prop_assert_eq!(console.boxes, boxes);
        }
    }
}
