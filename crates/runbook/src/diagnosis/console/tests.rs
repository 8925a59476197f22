use super::*;
use crate::diagnosis::MagicBox;

mod hostile;
mod layouts;

/// The runbook's sample, as it stands there.
const SAMPLE: &str = r#"...
[
  "registry-prod-us-south-az1-1",
  "us-south-dal10-container-registry-registry-prod-us-south-az1-1-vm-d4533b5e",
  "Ready",
  "10.94.143.238:1:1",
  "166.9.12.114/23"
]
[
  "registry-prod-global-az2-1",
  "us-east-wdc06-container-registry-registry-prod-global-az2-1-vm-efd79a11",
  "Ready",
  "10.188.123.182:0:0",
  "166.9.22.3/23"
]
...
"#;

fn south() -> MagicBox {
    MagicBox {
        name: "registry-prod-us-south-az1-1".into(),
        magic_box_id: "us-south-dal10-container-registry-registry-prod-us-south-az1-1-vm-d4533b5e".into(),
        node: "Ready".into(),
        backend_ip: "10.94.143.238".into(),
        frontend: "166.9.12.114/23".into(),
        se_status: 1,
        upstream_status: 1,
    }
}

fn global() -> MagicBox {
    MagicBox {
        name: "registry-prod-global-az2-1".into(),
        magic_box_id: "us-east-wdc06-container-registry-registry-prod-global-az2-1-vm-efd79a11".into(),
        node: "Ready".into(),
        backend_ip: "10.188.123.182".into(),
        frontend: "166.9.22.3/23".into(),
        se_status: 0,
        upstream_status: 0,
    }
}

fn of_zone(n: usize, statuses: &str) -> String {
    format!(
        r#"["registry-prod-us-south-az{n}-1","us-south-registry-prod-us-south-az{n}-1-vm-0","Ready","10.0.0.{n}:{statuses}","166.9.1.{n}/23"]"#
    )
}

fn names(console: &Console) -> Vec<&str> {
    console.boxes.iter().map(|b| b.name.as_str()).collect()
}

/// Each line of `text` behind `prefix(line number)`.
fn each_line(text: &str, prefix: impl Fn(usize) -> String) -> String {
    text.lines().enumerate().map(|(i, line)| format!("{}{line}\n", prefix(i))).collect()
}

fn assert_sample(text: &str) {
    let console = parse(text.as_bytes());
    assert_eq!(console, Console { boxes: vec![south(), global()], unreadable: vec![], warnings: vec![] }, "{text}");
}

#[test]
fn the_runbooks_sample() {
    assert_sample(SAMPLE);
}

#[test]
fn nothing_gives_nothing() {
    assert_eq!(parse(b""), Console::default());
    assert_eq!(Parser::default().finish(), Console::default());
}

#[test]
fn an_element_printed_twice_counts_once() {
    assert_sample(&format!("{SAMPLE}{SAMPLE}"));
}

#[test]
fn one_that_contradicts_itself_is_unreadable() {
    let text = [of_zone(1, "0:1"), of_zone(2, "0:1"), of_zone(1, "1:1"), of_zone(1, "0:1"), of_zone(1, "0:0")];
    let console = parse(text.join("\n").as_bytes());
    assert_eq!(names(&console), ["registry-prod-us-south-az2-1"]);
    assert_eq!(console.unreadable, ["registry-prod-us-south-az1-1"]);
    assert_eq!(
        console.warnings,
        ["registry-prod-us-south-az1-1 (us-south-registry-prod-us-south-az1-1-vm-0) is printed with different \
          contents, [Ready, 10.0.0.1:0:1, 166.9.1.1/23] and [Ready, 10.0.0.1:1:1, 166.9.1.1/23]: \
          it counts as unreadable"]
    );
}

#[test]
fn two_boxes_may_have_one_name() {
    let text = format!("{}\n{}", of_zone(1, "0:1"), of_zone(1, "1:1").replace("vm-0", "vm-1"));
    assert_eq!(parse(text.as_bytes()).boxes.len(), 2);
}

#[test]
fn zones_of_any_name_are_boxes() {
    for name in ["dal10-1", "a-1", "Registry_EU.de-12", "registry-stage-us-south-az1-1"] {
        let console =
            parse(of_zone(1, "0:-1").replace("registry-prod-us-south-az1-1\",", &format!("{name}\",")).as_bytes());
        assert!(console.boxes.len() == 1 && console.warnings.is_empty(), "{name}: {console:?}");
    }
}

#[test]
fn every_status_is_read() {
    for se in [0, 1] {
        for upstream in [-1, 0, 1] {
            let console = parse(of_zone(1, &format!("{se}:{upstream}")).as_bytes());
            assert_eq!((console.boxes[0].se_status, console.boxes[0].upstream_status), (se, upstream));
        }
    }
}

#[test]
fn an_ipv6_address_has_colons_of_its_own() {
    for (field, address) in [
        ("fd00::1:1:-1", "fd00::1"),
        ("[fd00::1]:1:-1", "fd00::1"),
        ("fd00:1:2:3:4:5:6:7:1:-1", "fd00:1:2:3:4:5:6:7"),
        ("::1:-1", ":"),
    ] {
        let text = of_zone(1, "x").replace("10.0.0.1:x", field).replace("166.9.1.1/23", "2001:db8::1/64");
        let console = parse(text.as_bytes());
        if address == ":" {
            assert_eq!(console.boxes, [], "{field}");
            continue;
        }
        let found = &console.boxes[0];
        assert_eq!((found.backend_ip.as_str(), found.se_status, found.upstream_status), (address, 1, -1), "{field}");
        assert_eq!(found.frontend, "2001:db8::1/64");
    }
}

#[test]
fn strings_may_be_escaped() {
    assert_sample(&SAMPLE.replace("166.9.12.114/23", "166.9.12.114\\/23").replace("Ready", "\\u0052eady"));
    for (printed, node) in [(r#"a\"b"#, "a\"b"), (r"a\\", "a\\"), (r#"a\\\"b"#, "a\\\"b"), (r#"a\"[\"b"#, "a\"[\"b")] {
        let console = parse(of_zone(1, "0:1").replace("Ready", printed).as_bytes());
        assert_eq!(console.boxes.first().map(|b| b.node.as_str()), Some(node), "{console:?}");
    }
}

/// Each wrong field, and what is said of it.
#[test]
fn a_field_of_the_wrong_shape_is_never_guessed_at() {
    let cases = [
        (
            "\"registry-prod-us-south-az1-1\"",
            "\"registry-prod-us-south-az1\"",
            "its name \"registry-prod-us-south-az1\" is not <zone>-<index>",
        ),
        ("\"registry-prod-us-south-az1-1\"", "\"registry-prod-us-south-az1-x\"", "is not <zone>-<index>"),
        ("\"registry-prod-us-south-az1-1\"", "\"registry-prod-us-south az1-1\"", "is not <zone>-<index>"),
        ("\"registry-prod-us-south-az1-1\"", "\"-1\"", "its name \"-1\" is not <zone>-<index>"),
        ("\"registry-prod-us-south-az1-1\"", "\"\"", "its name \"\" is not <zone>-<index>"),
        ("\"registry-prod-us-south-az1-1\"", "null", "its name \"null\" is not a string"),
        ("\"us-south-registry-prod-us-south-az1-1-vm-0\"", "\"\"", "its Magic Box ID \"\" is empty"),
        (
            "\"us-south-registry-prod-us-south-az1-1-vm-0\"",
            "\"a b\"",
            "its Magic Box ID \"a b\" is empty, too long or no single word",
        ),
        ("\"us-south-registry-prod-us-south-az1-1-vm-0\"", "17", "its Magic Box ID \"17\" is not a string"),
        ("\"Ready\"", "\"\"", "its node state \"\" is empty"),
        ("\"Ready\"", "true", "its node state \"true\" is not a string"),
        ("10.0.0.1:0:1", "10.0.0.1:2:1", "its SE status is \"2\", not 0 or 1"),
        ("10.0.0.1:0:1", "10.0.0.1:-1:1", "its SE status is \"-1\", not 0 or 1"),
        ("10.0.0.1:0:1", "10.0.0.1::1", "its SE status is \"\", not 0 or 1"),
        ("10.0.0.1:0:1", "10.0.0.1:01:1", "its SE status is \"01\", not 0 or 1"),
        ("10.0.0.1:0:1", "10.0.0.1:0:2", "its upstream status is \"2\", not -1, 0 or 1"),
        ("10.0.0.1:0:1", "10.0.0.1:0:-2", "its upstream status is \"-2\", not -1, 0 or 1"),
        ("10.0.0.1:0:1", "10.0.0.1:0:null", "its upstream status is \"null\", not -1, 0 or 1"),
        ("10.0.0.1:0:1", "10.0.0.1:0:+1", "its upstream status is \"+1\", not -1, 0 or 1"),
        ("10.0.0.1:0:1", "10.0.0.256:0:1", "its back end \"10.0.0.256:0:1\" is not <address>:<se>:<upstream>"),
        ("10.0.0.1:0:1", "10.0.0.1:443:0:1", "its back end \"10.0.0.1:443:0:1\" is not <address>:<se>:<upstream>"),
        ("10.0.0.1:0:1", "10.0.0.1:1", "its back end \"10.0.0.1:1\" is not <address>:<se>:<upstream>"),
        ("10.0.0.1:0:1", "", "its back end \"\" is not <address>:<se>:<upstream>"),
        ("166.9.1.1/23", "166.9.1.1", "its front end \"166.9.1.1\" is not an address with a prefix length"),
        ("166.9.1.1/23", "166.9.1.1/33", "its front end \"166.9.1.1/33\" is not an address"),
        ("166.9.1.1/23", "166.9.1.1/", "its front end \"166.9.1.1/\" is not an address"),
        ("166.9.1.1/23", "166.9.1.1/+2", "its front end \"166.9.1.1/+2\" is not an address"),
        ("166.9.1.1/23", "none/23", "its front end \"none/23\" is not an address"),
        ("166.9.1.1/23", "::1/129", "its front end \"::1/129\" is not an address"),
        (",\"166.9.1.1/23\"", "", "it has 4 fields instead of 5"),
        ("\"166.9.1.1/23\"", "\"166.9.1.1/23\",\"more\"", "it has 6 fields instead of 5"),
        ("\"166.9.1.1/23\"", "\"166.9.1.1/23\",", "it is broken off by something that does not belong to it"),
        ("\"Ready\",", "\"Ready\"", "it is broken off by something that does not belong to it"),
        ("\"Ready\"", "\"Re\\qady\"", "its node state \"Re\\qady\" is too long or no valid text"),
    ];
    for (right, wrong, problem) in cases {
        let good = of_zone(1, "0:1");
        let bad = good.replacen(right, wrong, 1);
        assert_ne!(good, bad, "{right}");
        let console = parse(format!("{}\n{bad}\n{}\n", of_zone(2, "0:0"), of_zone(3, "0:0")).as_bytes());
        assert_eq!(names(&console), ["registry-prod-us-south-az2-1", "registry-prod-us-south-az3-1"], "{bad}");
        assert_eq!(console.warnings.len(), 1, "{bad}: {:?}", console.warnings);
        assert!(console.warnings[0].contains(problem), "{bad}: {}", console.warnings[0]);
        assert!(console.warnings[0].contains(": ["), "{bad}: it quotes what was seen: {}", console.warnings[0]);
        assert!(console.unreadable.iter().any(|n| n.contains("us-south") && n.contains("az1")), "{bad}: {console:?}");
    }
}

#[test]
fn all_that_is_wrong_with_a_box_is_said() {
    let console = parse(br#"["dal-x", "", "Ready", "10.0.0.1:5:1", "166.9.1.1"]"#);
    assert_eq!(console.unreadable, ["dal-x"]);
    assert_eq!(
        console.warnings,
        ["a Magic Box that can't be read: its name \"dal-x\" is not <zone>-<index>; its Magic Box ID \"\" is empty, \
          too long or no single word; its SE status is \"5\", not 0 or 1; its front end \"166.9.1.1\" is not an \
          address with a prefix length: [\"dal-x\", \"\", \"Ready\", \"10.0.0.1:5:1\", \"166.9.1.1\"]"]
    );
}

#[test]
fn bare_words_as_groovy_prints_them_are_told_as_unreadable() {
    let text = of_zone(1, "0:1").replace('"', "").replace(',', ", ");
    for text in [text.clone(), of_zone(1, "0:1").replace('"', "'")] {
        let console = parse(text.as_bytes());
        assert_eq!(console.boxes, []);
        assert_eq!(console.unreadable, ["registry-prod-us-south-az1-1"]);
        assert!(console.warnings[0].contains("is not a string"), "{:?}", console.warnings);
    }
}

#[test]
fn a_line_without_end_is_not_kept() {
    let mut parser = Parser::default();
    for _ in 0..1_000 {
        parser.feed(&[b'x'; 400]);
        assert!(parser.head.len() <= HEAD, "{}", parser.head.len());
    }
}
