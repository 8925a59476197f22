//! An array is a box, an unreadable box, or none of our business.

use std::net::IpAddr;

use super::scan::{Element, End, Field};
use crate::alert::contains_word;
use crate::diagnosis::MagicBox;

/// Longest name and Magic Box ID, in bytes. The runbook's have 28 and 74; a name is longer than a cluster's (at most
/// 35 on IKS), an ID holds a name.
const LONGEST_NAME: usize = 200;
/// Longest node state, as in `Ready,SchedulingDisabled`.
const LONGEST_STATE: usize = 80;
/// How much of an array is quoted, in characters: a whole box fits.
const QUOTE: usize = 300;
/// How much of one field is quoted.
const SHORT: usize = 60;

/// What an array is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// A box.
    Box(MagicBox),
    /// It was meant as a box.
    Unreadable {
        /// What can be told of its name: the name, or else the Magic Box ID that holds it.
        names: Vec<String>,
        /// What is wrong, with what was seen.
        warning: String,
    },
    /// Something else that has brackets.
    Noise,
}

/// Tells boxes from noise, and never guesses at a field.
pub(super) fn judge(element: &Element) -> Judged {
    let problems = match (element.end, &element.fields[..]) {
        (
            End::Closed,
            [Field::Text(name), Field::Text(id), Field::Text(node), Field::Text(backend), Field::Text(front)],
        ) => match magic_box(name, id, node, backend, front) {
            Ok(magic_box) => return Judged::Box(magic_box),
            Err(problems) => problems,
        },
        (end, _) => vec![broken_off(end).map_or_else(|| misshapen(element), str::to_owned)],
    };
    if !is_boxlike(element) {
        return Judged::Noise;
    }
    let warning = format!("a Magic Box that can't be read: {}: {}", problems.join("; "), quote(&element.raw));
    Judged::Unreadable { names: names(element), warning }
}

fn magic_box(name: &str, id: &str, node: &str, backend: &str, front: &str) -> Result<MagicBox, Vec<String>> {
    let mut problems = Vec::new();
    if !is_name(name) {
        problems.push(format!("its name {} is not <zone>-<index>", short(name)));
    }
    if !is_word(id, LONGEST_NAME) {
        problems.push(format!("its Magic Box ID {} is empty, too long or no single word", short(id)));
    }
    if !is_word(&node.replace(' ', ""), LONGEST_STATE) {
        problems.push(format!("its node state {} is empty, too long or no text", short(node)));
    }
    let statuses = match statuses(backend) {
        Ok(statuses) => Some(statuses),
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    if !is_cidr(front) {
        problems.push(format!("its front end {} is not an address with a prefix length", short(front)));
    }
    match statuses {
        Some((address, se_status, upstream_status)) if problems.is_empty() => Ok(MagicBox {
            name: name.to_owned(),
            magic_box_id: id.to_owned(),
            node: node.to_owned(),
            backend_ip: address.to_owned(),
            frontend: front.to_owned(),
            se_status,
            upstream_status,
        }),
        _ => Err(problems),
    }
}

/// `<ip>:<se_status>:<upstream_status>`, from the right, since an IPv6 address has colons of its own.
fn statuses(field: &str) -> Result<(&str, u8, i8), String> {
    let mut parts = field.rsplitn(3, ':');
    let (Some(upstream), Some(se), Some(address)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!("its back end {} is not <address>:<se>:<upstream>", short(field)));
    };
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    if bare.parse::<IpAddr>().is_err() {
        return Err(format!("its back end {} is not <address>:<se>:<upstream>", short(field)));
    }
    let se = match se {
        "0" => 0,
        "1" => 1,
        _ => return Err(format!("its SE status is {}, not 0 or 1", short(se))),
    };
    let upstream = match upstream {
        "-1" => -1,
        "0" => 0,
        "1" => 1,
        _ => return Err(format!("its upstream status is {}, not -1, 0 or 1", short(upstream))),
    };
    Ok((bare, se, upstream))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    is_number(length, 3) && length.parse::<u16>().is_ok_and(|length| length <= most)
}

/// `<zone>-<index>`.
fn is_name(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    text.len() <= LONGEST_NAME
        && text.bytes().all(valid)
        && text.rsplit_once('-').is_some_and(|(zone, index)| !zone.is_empty() && is_number(index, 9))
}

fn is_number(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_word(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn broken_off(end: End) -> Option<&'static str> {
    match end {
        End::Closed => None,
        End::NextArray => Some("it is cut off by the next array"),
        End::Line => Some("its line ends inside a string"),
        End::Stray => Some("it is broken off by something that does not belong to it"),
        End::Console => Some("it is cut off by the end of the console"),
    }
}

fn misshapen(element: &Element) -> String {
    const FIELDS: [&str; 5] = ["name", "Magic Box ID", "node state", "back end", "front end"];
    if element.count != FIELDS.len() {
        return format!("it has {} fields instead of {}", element.count, FIELDS.len());
    }
    let what = |(field, name): (&Field, &str)| match field {
        Field::Text(_) => None,
        Field::Bare(text) => Some(format!("its {name} {} is not a string", short(text))),
        Field::Broken(text) => Some(format!("its {name} {} is too long or no valid text", short(text))),
    };
    element.fields.iter().zip(FIELDS).filter_map(what).collect::<Vec<_>>().join("; ")
}

/// Whether an array that is no box was meant as one. A console has many arrays, tags and lists of names: only what
/// has a box's marks is worth a warning.
fn is_boxlike(element: &Element) -> bool {
    let fields = &element.fields;
    let field = |i: usize| fields.get(i).map(text);
    let is_text = |i: usize| matches!(fields.get(i), Some(Field::Text(_) | Field::Broken(_)));
    let first = field(0).unwrap_or_default();
    let named = is_text(0) && is_name(first);
    let ours = is_text(0) && is_registry(first);
    let id = field(1).is_some_and(|id| holds_name(id, first));
    // Whole strings that are all names are a list of names: one cut off may look like a name by chance, and a bare
    // word may be what cut the list off.
    let strings: Vec<_> = fields.iter().filter(|f| !matches!(f, Field::Bare(_))).collect();
    let is_listed = |f: &&Field| matches!(f, Field::Text(name) if is_name(name) || is_registry(name));
    let names_only = !id && strings.len() > 1 && strings.iter().all(is_listed);
    let cut = element.end != End::Closed;

    field(3).is_some_and(looks_like_back_end)
        || (field(4).is_some_and(is_cidr) && (named || ours || id))
        || ((named || ours) && id)
        || (named && ours && !names_only)
        || (cut && !names_only && (named || (is_text(0) && first.starts_with("registry-"))))
}

/// Whether a Magic Box ID is that of a name: it holds the name, and words beside. (A list of a zone and its boxes has
/// numbers beside.)
fn holds_name(id: &str, name: &str) -> bool {
    let letters = |text: &str| text.bytes().filter(u8::is_ascii_alphabetic).count();
    contains_word(id, name) && letters(id) > letters(name)
}

/// `registry-<region>-az<n>`, with or without an index.
fn is_registry(text: &str) -> bool {
    text.starts_with("registry-")
        && text.match_indices("-az").any(|(at, az)| text[at + az.len()..].starts_with(|c: char| c.is_ascii_digit()))
}

/// Something with a dot or colon, then two numbers: `10.0.0.1:2:7`.
fn looks_like_back_end(text: &str) -> bool {
    let mut parts = text.trim_matches('\'').rsplitn(3, ':');
    let number = |part: Option<&str>| part.is_some_and(|p| is_number(p.strip_prefix('-').unwrap_or(p), 9));
    number(parts.next()) && number(parts.next()) && parts.next().is_some_and(|address| address.contains(['.', ':']))
}

/// What tells which zone to count as missing.
fn names(element: &Element) -> Vec<String> {
    let field = |i: usize| element.fields.get(i).map(|f| text(f).trim_matches('\'').trim()).filter(|t| !t.is_empty());
    let first = field(0);
    let id = field(1).filter(|_| !first.is_some_and(is_name));
    first.into_iter().chain(id).map(|name| shown(name, LONGEST_NAME)).collect()
}

fn text(field: &Field) -> &str {
    let (Field::Text(text) | Field::Bare(text) | Field::Broken(text)) = field;
    text
}

/// One field, quoted.
fn short(text: &str) -> String {
    format!("\"{}\"", shown(text, SHORT))
}

/// What was seen, on one line, at most so long.
fn quote(raw: &[u8]) -> String {
    shown(String::from_utf8_lossy(raw).trim_end(), QUOTE)
}

/// Text from outside as it may stand in a note: nothing invisible, and an end.
fn shown(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == longest {
            shown.push('…');
            break;
        }
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}
