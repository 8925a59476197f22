//! JSON as others really write it. What strict JSON refuses of a text is repaired before it is read:
//! contract-tests.md#what-strict-json-refuses. Pure.
//!
//! Only what has one sensible reading is repaired: texts (invalid UTF-8, lone surrogates, broken escapes, raw control
//! characters), values that are none (`1e999`, `NaN`), what is nested deeper than is read, marks between values (a byte
//! order mark). Brackets, commas and quotes are not: a document that breaks off must never look complete.

use std::borrow::Cow;

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::Value;

/// `serde_json` reads no deeper than this; what is deeper becomes `null`.
const DEEPEST: usize = 127;
/// What stands where a character can't be told.
const UNKNOWN: &[u8] = "\u{fffd}".as_bytes();
/// How much of a reason is quoted.
const MAX_WHY: usize = 120;

/// Reads a document, repaired where strict JSON refuses it. Of a name that is there twice the last value counts.
///
/// # Errors
/// It can't be read even so, or is not what was asked for.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    // No database that we use keeps a NUL in a text, so none may pass.
    if !has_nul(text)
        && let Ok(read) = serde_json::from_slice(text)
    {
        return Ok(read);
    }
    let value: Value = serde_json::from_slice(&repaired(text))?;
    T::deserialize(value)
}

/// The same document as `serde_json` accepts it, wherever it has a sensible reading; what is accepted as it stands
/// keeps its meaning, but for NUL characters.
pub fn repaired(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::with_capacity(text.len());
    let mut depth = 0_usize;
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = match byte {
            b'"' => string(after, &mut out),
            b'{' | b'[' if depth == DEEPEST => {
                out.extend_from_slice(b"null");
                behind(rest)
            }
            b'{' | b'[' | b'}' | b']' => {
                depth = if matches!(byte, b'{' | b'[') { depth + 1 } else { depth.saturating_sub(1) };
                out.push(*byte);
                after
            }
            b',' | b':' | b' ' | b'\n' | b'\r' | b'\t' => {
                out.push(*byte);
                after
            }
            b'!'..=b'~' => bare(rest, depth, &mut out),
            // A byte order mark, a control character, half a character: nothing that could stand between values.
            _ => {
                out.push(b' ');
                after
            }
        };
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// Whether a text may be written with a NUL. One that only looks like it, `\\u0000`, is repaired in vain.
fn has_nul(text: &[u8]) -> bool {
    text.windows(6).any(|six| six == br"\u0000")
}

/// A string, from behind its first quote; gives what is behind it. One that is not closed stays so.
fn string<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    out.push(b'"');
    loop {
        let plain = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len());
        for chunk in rest[..plain].utf8_chunks() {
            out.extend_from_slice(chunk.valid().as_bytes());
            if !chunk.invalid().is_empty() {
                out.extend_from_slice(UNKNOWN);
            }
        }
        rest = match &rest[plain..] {
            [] => return &[],
            [b'"', after @ ..] => {
                out.push(b'"');
                return after;
            }
            [b'\\', after @ ..] => escape(after, out),
            [control, after @ ..] => {
                match control {
                    0 => out.extend_from_slice(UNKNOWN),
                    b'\n' => out.extend_from_slice(br"\n"),
                    b'\r' => out.extend_from_slice(br"\r"),
                    b'\t' => out.extend_from_slice(br"\t"),
                    other => out.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
                }
                after
            }
        };
    }
}

/// What follows a backslash within a string; gives what is behind it.
fn escape<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    match rest {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', after @ ..] => {
            out.extend_from_slice(&[b'\\', rest[0]]);
            after
        }
        [b'u', digits @ ..] => {
            let length = match unit(digits) {
                Some(0xd800..=0xdbff) => match &digits[4..] {
                    [b'\\', b'u', low @ ..] if matches!(unit(low), Some(0xdc00..=0xdfff)) => 10,
                    _ => return unknown(&digits[4..], out),
                },
                Some(0 | 0xdc00..=0xdfff) => return unknown(&digits[4..], out),
                Some(_) => 4,
                None => {
                    let cut = digits.iter().take_while(|b| b.is_ascii_hexdigit()).count();
                    if cut > 0 {
                        return unknown(&digits[cut..], out);
                    }
                    // `C:\users`: no escape at all.
                    out.extend_from_slice(br"\\u");
                    return digits;
                }
            };
            out.extend_from_slice(br"\u");
            out.extend_from_slice(&digits[..length]);
            &digits[length..]
        }
        // There is no such escape: the backslash was meant.
        other => {
            out.extend_from_slice(br"\\");
            other
        }
    }
}

fn unknown<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    out.extend_from_slice(UNKNOWN);
    rest
}

/// The four digits of `\u`.
fn unit(digits: &[u8]) -> Option<u16> {
    let four = digits.get(..4).filter(|four| four.iter().all(u8::is_ascii_hexdigit))?;
    u16::from_str_radix(std::str::from_utf8(four).ok()?, 16).ok()
}

/// A value without quotes or brackets, which becomes `null` where it is none; gives what is behind it. A document that
/// is nothing else is left as it is: `null` would be read as an answer.
fn bare<'a>(rest: &'a [u8], depth: usize, out: &mut Vec<u8>) -> &'a [u8] {
    let end = rest.iter().position(|b| matches!(b, b'"' | b'{' | b'}' | b'[' | b']' | b',' | b':'));
    let all = &rest[..end.unwrap_or(rest.len())];
    let length = all.iter().rposition(|b| matches!(b, b'!'..=b'~')).map_or(0, |last| last + 1);
    let (value, rest) = rest.split_at(length);
    let known = depth == 0 || serde_json::from_slice::<Value>(value).is_ok();
    out.extend_from_slice(if known { value } else { b"null" });
    rest
}

/// What is behind an object or array, from its first bracket on; nothing where it is not closed.
fn behind(text: &[u8]) -> &[u8] {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return &text[at + 1..];
                }
            }
            _ => {}
        }
    }
    &[]
}

/// An entry of a list that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// What stands there.
    pub entry: Value,
    /// Why it can't be read.
    pub why: String,
}

impl LeftOut {
    /// One of its fields, where that is a text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.entry.get(field)?.as_str()
    }
}

/// Reads a list entry by entry: those that can be read, and those that can't.
pub fn entries<T: DeserializeOwned>(list: Vec<Value>) -> (Vec<T>, Vec<LeftOut>) {
    let mut left_out = Vec::new();
    let mut entry = |value: Value| {
        T::deserialize(&value)
            .map_err(|e| left_out.push(LeftOut { entry: value, why: e.to_string().chars().take(MAX_WHY).collect() }))
            .ok()
    };
    let read = list.into_iter().filter_map(&mut entry).collect();
    (read, left_out)
}

/// A list of which each entry that can't be read is left out, with a word in the log.
///
/// # Errors
/// It is no list.
pub fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let (read, left_out) = entries(Vec::deserialize(from)?);
    if let Some(first) = left_out.first() {
        let of = std::any::type_name::<T>();
        tracing::warn!(
            of,
            left_out = left_out.len(),
            why = first.why,
            "entries of a list can't be read and are left out"
        );
    }
    Ok(read)
}

/// The same of a list that nothing hangs on: what is no list is an empty one.
///
/// # Errors
/// The document can't be read.
pub fn list_or_default<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(list(Value::deserialize(from)?).unwrap_or_default())
}

/// A field that nothing hangs on: one that is missing, `null` or of another type is as if it were not given.
///
/// # Errors
/// The document can't be read.
pub fn or_default<'de, D: Deserializer<'de>, T: Default + DeserializeOwned>(from: D) -> Result<T, D::Error> {
    Ok(T::deserialize(Value::deserialize(from)?).unwrap_or_default())
}

#[cfg(test)]
mod tests;
