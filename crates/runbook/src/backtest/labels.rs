//! What people say was the matter: a CSV of `incident_id,truth`.

use std::collections::BTreeMap;

use super::Truth;
use crate::text::clean;

/// How much of a field is quoted.
const MAX_SHOWN: usize = 80;
/// So many problems are told; more are counted.
const MAX_TOLD: usize = 20;

/// What a label may say.
const LABELS: [Truth; 4] = [Truth::ServiceEndpoint, Truth::Registry, Truth::Client, Truth::Nothing];

/// Reads the labels, as a spreadsheet writes them: quoted fields, a byte order mark and CRLF are taken, other columns are
/// not looked at.
///
/// # Errors
/// Each problem in words, with its line.
pub fn parse(text: &[u8]) -> Result<BTreeMap<String, Truth>, Vec<String>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = std::str::from_utf8(text).map_err(|e| {
        let line = text[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        vec![format!("line {line}: this is not UTF-8: save the table as CSV in UTF-8")]
    })?;
    let mut rows = rows(text).map_err(|problem| vec![problem])?.into_iter().peekable();
    let (mut id_at, mut truth_at) = (0, 1);
    let Some((line, first)) = rows.peek() else {
        return Err(vec!["line 1: the file is empty: its header is incident_id,truth".to_owned()]);
    };
    // A file without a header begins with a label.
    if first.get(1).is_none_or(|word| label(word).is_none()) {
        let column = |name: &str| first.iter().position(|field| field == name);
        let (Some(id), Some(truth)) = (column("incident_id"), column("truth")) else {
            return Err(vec![format!("line {line}: the header must be incident_id,truth")]);
        };
        (id_at, truth_at) = (id, truth);
        rows.next();
    }
    let (mut labels, mut problems) = (BTreeMap::new(), Vec::new());
    for (line, row) in rows {
        let field = |at: usize| row.get(at).map(String::as_str).unwrap_or_default();
        let (id, word) = (field(id_at), field(truth_at));
        match label(word) {
            _ if id.is_empty() => problems.push(format!("line {line}: incident_id is empty")),
            None => problems.push(format!(
                "line {line}: the truth {:?} is not one of {}",
                clean(word, MAX_SHOWN),
                LABELS.map(Truth::as_str).join(", ")
            )),
            Some(truth) => match labels.insert(id.to_owned(), truth) {
                Some(before) if before != truth => problems.push(format!(
                    "line {line}: {} is labelled {truth} here, and {before} above",
                    clean(id, MAX_SHOWN)
                )),
                _ => {}
            },
        }
    }
    if problems.len() > MAX_TOLD {
        let more = problems.len() - MAX_TOLD;
        problems.truncate(MAX_TOLD);
        problems.push(format!("and {more} more"));
    }
    if problems.is_empty() { Ok(labels) } else { Err(problems) }
}

fn label(word: &str) -> Option<Truth> {
    LABELS.into_iter().find(|label| label.as_str() == word)
}

/// The rows that have anything in them, each with the line that it begins on; fields without the blanks around them.
fn rows(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
    let mut rows = Vec::new();
    let (mut row, mut field, mut line, mut began) = (Vec::new(), String::new(), 1, 1);
    let mut characters = text.chars().peekable();
    let end_row = |row: &mut Vec<String>, field: &mut String, began: usize, rows: &mut Vec<(usize, Vec<String>)>| {
        row.push(std::mem::take(field).trim().to_owned());
        let whole = std::mem::take(row);
        if whole.iter().any(|field| !field.is_empty()) {
            rows.push((began, whole));
        }
    };
    while let Some(character) = characters.next() {
        match character {
            '"' if field.trim().is_empty() => {
                field.clear();
                let opened = line;
                loop {
                    match characters.next() {
                        Some('"') if characters.peek() == Some(&'"') => {
                            characters.next();
                            field.push('"');
                        }
                        Some('"') => break,
                        Some(other) => {
                            line += usize::from(other == '\n');
                            field.push(other);
                        }
                        None => return Err(format!("line {opened}: a quote is opened and never closed")),
                    }
                }
            }
            ',' => row.push(std::mem::take(&mut field).trim().to_owned()),
            '\n' | '\r' => {
                if character == '\r' && characters.peek() == Some(&'\n') {
                    characters.next();
                }
                end_row(&mut row, &mut field, began, &mut rows);
                line += 1;
                began = line;
            }
            other => field.push(other),
        }
    }
    end_row(&mut row, &mut field, began, &mut rows);
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, Truth)> {
        parse(text.as_bytes()).unwrap().into_iter().collect()
    }

    #[test]
    fn a_table_is_read_as_spreadsheets_write_it() {
        let expected = [("Q1".to_owned(), Truth::ServiceEndpoint), ("Q2".to_owned(), Truth::Nothing)];
        for text in [
            "incident_id,truth\nQ1,service-endpoint\nQ2,none\n",
            "incident_id,truth\nQ1,service-endpoint\nQ2,none",
            "\u{feff}incident_id,truth\r\nQ1,service-endpoint\r\nQ2,none\r\n",
            "\"incident_id\",\"truth\"\n\"Q1\",\"service-endpoint\"\n\"Q2\" , \"none\"\n",
            "\n incident_id , truth \n\nQ1 , service-endpoint\n,\nQ2,none\n\n",
            "who,truth,incident_id\n\"a, \"\"b\"\"\nc\",service-endpoint,Q1\nx,none,Q2\n",
            "Q1,service-endpoint\nQ2,none\nQ2,none\n",
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
        assert_eq!(read("incident_id,truth\nQ3,registry\nQ4,client\n").len(), 2);
        assert!(read("incident_id,truth\n").is_empty());
    }

    #[test]
    fn what_can_not_be_read_is_told_with_its_line() {
        let told = |text: &str| parse(text.as_bytes()).unwrap_err().join("\n");
        assert_eq!(
            told("incident_id,truth\r\nQ1,registry\r\nQ2,maybe\r\nQ3,\r\n,none\r\nQ1,client\r\n"),
            "line 3: the truth \"maybe\" is not one of service-endpoint, registry, client, none\n\
             line 4: the truth \"\" is not one of service-endpoint, registry, client, none\n\
             line 5: incident_id is empty\n\
             line 6: Q1 is labelled client here, and registry above"
        );
        assert!(told("incident_id,truth\nQ1,unknown").contains("line 2"), "unknown is said by leaving a line out");
        assert!(told("incident_id,truth\n\"a\nb\",none\nQ1,x").contains("line 4"));
        assert_eq!(told("id,what\nQ1,none"), "line 1: the header must be incident_id,truth");
        assert!(told("").contains("empty"));
        assert!(told("incident_id,truth\nQ1,\"none").contains("line 2: a quote"));
        assert!(parse(b"incident_id,truth\nQ1,n\xffne").unwrap_err()[0].starts_with("line 2: this is not UTF-8"));
        let many = format!("incident_id,truth\n{}", "Q,x\n".repeat(30));
        assert!(told(&many).ends_with("and 10 more"));
    }

    proptest::proptest! {
        #[test]
        fn any_file_is_survived(text in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = parse(&text);
        }
    }
}
