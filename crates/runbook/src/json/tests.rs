use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use super::*;

fn value(text: &[u8]) -> Value {
    read(text).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(text)))
}

#[test]
fn texts_are_read_whatever_stands_in_them() {
    for (text, meant) in [
        (&br#"disk full \ud83d"#[..], "disk full \u{fffd}"),
        (br"\ude00 first", "\u{fffd} first"),
        (br"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
        (br"\ud83d\n\ude00", "\u{fffd}\n\u{fffd}"),
        (br"\ud83d\u0041", "\u{fffd}A"),
        (br"\ud83dx", "\u{fffd}x"),
        (br"\uD83D\uDE00", "\u{1f600}"),
        (b"caf\xe9", "caf\u{fffd}"),
        (b"\xed\xa0\xbd end", "\u{fffd}\u{fffd}\u{fffd} end"),
        (b"cut \xf0\x9f\x98", "cut \u{fffd}"),
        (b"a\nb\tc\rd", "a\nb\tc\rd"),
        (b"\x1b[31mred\x7f\x08", "\u{1b}[31mred\u{7f}\u{8}"),
        (b"nul \x00 raw", "nul \u{fffd} raw"),
        (br"nul \u0000 escaped", "nul \u{fffd} escaped"),
        (br"no nul \\u0000", r"no nul \u0000"),
        (br"\x41 \' \0", r"\x41 \' \0"),
        (br"C:\users\public", r"C:\users\public"),
        (br"\u12", "\u{fffd}"),
        (br"\u00e", "\u{fffd}"),
        (br"\u00zz", "\u{fffd}zz"),
        (b"\\\n", "\\\n"),
        (b"\\\xff", "\\\u{fffd}"),
        (br"\/\b\f\n\r\t\\", "/\u{8}\u{c}\n\r\t\\"),
    ] {
        let whole = [b"{\"bad\": \"", text, b"\", \"good\": [1, \"x\"]}"].concat();
        assert_eq!(value(&whole), json!({"bad": meant, "good": [1, "x"]}), "{}", String::from_utf8_lossy(text));
        // The same within a name.
        let whole = [b"{\"", text, b"\": 1, \"good\": 2}"].concat();
        assert_eq!(value(&whole), json!({meant: 1, "good": 2}), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn values_that_are_none_are_null() {
    for bare in [
        "1e999",
        "-1e999",
        "1E+4000",
        "NaN",
        "Infinity",
        "-Infinity",
        "+1",
        "01",
        ".5",
        "1.",
        "1e",
        "-",
        "0x1F",
        "1_000",
        "True",
        "None",
        "undefined",
        "nul",
        "truefalse",
        "1 2",
        "1\u{0}3",
        "1\u{e4}3",
        "<html>",
    ] {
        let whole = format!("{{\"bad\": {bare} , \"good\": [{bare},true], \"n\":-1.5e3}}");
        assert_eq!(value(whole.as_bytes()), json!({"bad": null, "good": [null, true], "n": -1500.0}), "{bare}");
    }
    let large = "9".repeat(400);
    assert_eq!(value(format!("[{large}, 1]").as_bytes()), json!([null, 1]));
}

#[test]
fn what_is_too_deep_is_null_and_the_rest_is_read() {
    for depth in [1, 125, 126, 127, 128, 1000, 200_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}\"]}}\\\"[\"{}", open.repeat(depth), close.repeat(depth));
            let read = value(format!("{{\"deep\": {deep}, \"good\": 1}}").as_bytes());
            assert_eq!(read["good"], 1, "{depth}");
            let mut inner = &read["deep"];
            let mut reached = 0;
            while let Some(next) = inner.get(0).or_else(|| inner.get("a")) {
                (inner, reached) = (next, reached + 1);
            }
            assert_eq!(reached, depth.min(126), "{depth}");
            assert_eq!(inner.is_null(), depth > 126, "{depth}");
        }
    }
}

#[test]
fn marks_between_values_are_passed_over() {
    for text in [
        &b"\xef\xbb\xbf{\"a\": 1}"[..],
        b"\x00{\"a\": 1}\x00\x00",
        b"{\x0b\"a\"\xff:\x001\x00}",
        b"{\"a\"\xc2\xa0: 1\xc2\xa0}\x1a",
        b"\xe2\x80\x8b{\"a\": 1}\n",
    ] {
        assert_eq!(value(text), json!({"a": 1}), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn of_a_name_that_is_there_twice_the_last_value_counts() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct One {
        id: String,
    }
    assert_eq!(read::<One>(br#"{"id": "a", "id": "b"}"#).unwrap(), One { id: "b".into() });
}

#[test]
fn what_breaks_off_or_is_no_json_stays_unreadable() {
    for text in [
        &b""[..],
        b"\xef\xbb\xbf",
        b"{\"incidents\": [{\"id\": \"Q1\"}",
        b"{\"incidents\": [{\"id\": \"Q1\"}]",
        b"{\"a\": \"cut off",
        b"{\"a\": \"cut off\\",
        b"{\"a\": 1}}",
        b"{\"a\": 1} {\"b\": 2}",
        b"[1 \"x\"]",
        b"[1,, 2]",
        b"{a: 1}",
        b"<html>Sign in</html>",
        b"upstream connect error",
        b"1e999",
        b"\xff\x00",
    ] {
        assert!(read::<Value>(text).is_err(), "{}", String::from_utf8_lossy(text));
    }
    let deep_and_cut = format!("{{\"good\": 1, \"deep\": {}", "[".repeat(500));
    assert!(read::<Value>(deep_and_cut.as_bytes()).is_err());
}

#[test]
fn a_list_is_read_entry_by_entry() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Entry {
        id: String,
        #[serde(default, deserialize_with = "or_default")]
        count: u8,
    }
    let list = vec![
        json!({"id": "a", "count": 7}),
        json!(null),
        json!({"id": 5, "title": "t"}),
        json!({"id": "b", "count": "x"}),
    ];
    let (read, left_out) = entries::<Entry>(list);
    assert_eq!(read, [Entry { id: "a".into(), count: 7 }, Entry { id: "b".into(), count: 0 }]);
    assert_eq!((left_out.len(), left_out[1].text("title"), left_out[1].text("id")), (2, Some("t"), None));
    assert!(left_out[1].why.contains("expected a string"), "{left_out:?}");
}

/// Any document, without NUL.
fn document() -> impl Strategy<Value = Value> {
    let text = "[^\\x00]{0,12}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(text, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Where the strings of a document stand: the bytes between their quotes.
fn strings(text: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut found, mut start, mut escaped) = (Vec::new(), None, false);
    for (at, byte) in text.iter().enumerate() {
        match (byte, start) {
            _ if escaped => escaped = false,
            (b'\\', Some(_)) => escaped = true,
            (b'"', None) => start = Some(at + 1),
            (b'"', Some(from)) => {
                found.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    found
}

proptest! {
    #[test]
    fn what_strict_json_accepts_is_left_as_it_is(document in document(), pretty: bool) {
        let text = if pretty { serde_json::to_vec_pretty(&document) } else { serde_json::to_vec(&document) }.unwrap();
        prop_assert!(matches!(repaired(&text), Cow::Borrowed(_)));
        prop_assert_eq!(value(&text), document);
    }

    #[test]
    fn any_bytes_are_survived_and_what_is_accepted_keeps_its_meaning(text: Vec<u8>) {
        let strict = serde_json::from_slice::<Value>(&text);
        let read = read::<Value>(&text);
        if let Ok(strict) = strict && !has_nul(&text) {
            prop_assert_eq!(read.unwrap(), strict);
        }
    }

    #[test]
    fn anything_like_json_is_survived(text in r#"[\[\]{}:,"\\u0dDeEfnt1\-\. \x00\x1f\u{feff}\u{d7ff}é]{0,60}"#) {
        let strict = serde_json::from_slice::<Value>(text.as_bytes());
        let fixed = repaired(text.as_bytes());
        if let Ok(strict) = strict && !has_nul(text.as_bytes()) {
            prop_assert_eq!(serde_json::from_slice::<Value>(&fixed).unwrap(), strict);
        }
        // Repaired once is repaired.
        prop_assert!(matches!(repaired(&fixed), Cow::Borrowed(_)), "{:?}", String::from_utf8_lossy(&fixed));
    }

    #[test]
    fn one_spoilt_byte_in_a_text_costs_that_text_only(document in document(), spoil in any::<prop::sample::Index>(),
        byte in prop_oneof![0_u8..=0x1f, 0x80_u8..=0xff]) {
        let mut text = serde_json::to_vec(&json!({"a": document, "id": "Q1", "z": [1, "good"]})).unwrap();
        let strings = strings(&text);
        // A backslash that is lost may make the quote behind it the string's last.
        let places: Vec<usize> = strings.into_iter().flatten().filter(|at| text[*at] != b'\\').collect();
        let at = places[spoil.index(places.len())];
        // The names and values that are looked at.
        let looked_at = |needle: &[u8]| {
            let start = text.windows(needle.len()).rposition(|w| w == needle).unwrap();
            (start..start + needle.len()).contains(&at)
        };
        let (id, z) = (looked_at(br#""id":"Q1""#), looked_at(br#""z":[1,"good"]"#));
        text[at] = byte;
        let read = value(&text);
        prop_assert!(id || read["id"] == "Q1");
        prop_assert!(z || read["z"] == json!([1, "good"]));
    }

    #[test]
    fn one_spoilt_number_costs_that_number_only(before in document(), number: i32, after in document(),
        spoilt in prop_oneof![Just("1e999"), Just("NaN"), Just("-Infinity"), Just("00"), Just("1.e5")]) {
        let text = serde_json::to_string(&json!([before, {"n": "@number@"}, after, number])).unwrap();
        let read = value(text.replace("\"@number@\"", spoilt).as_bytes());
        prop_assert_eq!(read, json!([before, {"n": null}, after, number]));
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, deserialize_with = "list_or_default")]
    names: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    size: Option<u8>,
    #[serde(deserialize_with = "list")]
    needed: Vec<u8>,
}

fn fields_of(answer: Value) -> Option<(Vec<String>, Option<u8>, Vec<u8>)> {
    let answer: Answer = serde_json::from_value(answer).ok()?;
    Some((answer.names, answer.size, answer.needed))
}

#[test]
fn what_can_t_be_read_is_left_out_and_the_rest_counts() {
    let odd = json!({"names": [null, "a", 7, {}, ["x"], "b"], "size": "7", "needed": [null, 1, "2", 300, 3]});
    assert_eq!(fields_of(odd), Some((vec!["a".into(), "b".into()], None, vec![1, 3])));
    for odd in [json!({}), json!(null), json!("x"), json!(1.5), json!([null])] {
        let answer = json!({"names": odd, "size": odd, "needed": []});
        assert_eq!(fields_of(answer), Some((vec![], None, vec![])), "{odd}");
    }
    for none in [json!({}), json!({"needed": null}), json!({"needed": {}})] {
        assert_eq!(fields_of(none), None, "what must be there");
    }
}
