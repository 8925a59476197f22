//! A timeline as Markdown, for an issue or a review, and as CSV, for a table.

use jiff::Timestamp;

use super::Timeline;
use crate::text::clean;

/// The longest text of a cell: a stranger's may be megabytes long. CSV and JSON have it whole.
const CELL: usize = 2000;

/// A moment for people: to the second, in UTC.
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

impl Timeline {
    /// The times of the summary with what each is, in the order in which they usually come.
    pub fn times(&self) -> [(&'static str, Option<Timestamp>); 5] {
        let summary = &self.summary;
        let acknowledged = if summary.paged_at.is_some() { "Page acknowledged" } else { "Acknowledged" };
        [
            ("Triggered", summary.triggered_at),
            ("First diagnosis note", summary.noted_at),
            ("Service Endpoint team paged", summary.paged_at),
            (acknowledged, summary.acknowledged_at),
            ("Resolved", summary.resolved_at),
        ]
    }

    /// Markdown: a heading, the summary, what is missing, and a table. What strangers wrote stays text.
    pub fn markdown(&self) -> String {
        let mut lines = vec![
            match &self.region {
                Some(region) => format!("# All SE endpoints down in {region}: timeline of {}", cell(&self.alert)),
                None => format!("# All SE endpoints down: timeline of {}", cell(&self.alert)),
            },
            String::new(),
            format!("- Class: {}", self.class.map_or("no diagnosis", |class| class.as_str())),
        ];
        for (what, at) in self.times() {
            lines.push(format!("- {what}: {}", at.map_or_else(|| "-".to_owned(), moment)));
        }
        if !self.missing.is_empty() {
            lines.extend([String::new(), "**Not complete.** Missing:".to_owned(), String::new()]);
            lines.extend(self.missing.iter().map(|what| format!("- {}", cell(what))));
        }
        lines.extend([
            String::new(),
            "| time (UTC) | source | kind | what | who |".to_owned(),
            "|---|---|---|---|---|".to_owned(),
        ]);
        for entry in &self.entries {
            let text = cell(&entry.text);
            let text = match entry.url.as_deref().and_then(address) {
                Some(url) => format!("[{}]({url})", if text.is_empty() { "link" } else { &text }),
                None => text,
            };
            lines.push(format!(
                "| {} | {} | {} | {text} | {} |",
                entry.at.strftime("%Y-%m-%d %H:%M:%S"),
                entry.source,
                cell(&entry.kind),
                cell(entry.who.as_deref().unwrap_or_default()),
            ));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// CSV by RFC 4180, with a header. A value that a spreadsheet would take for a formula is preceded by `'`.
    pub fn csv(&self) -> String {
        let mut out = "at,source,kind,text,who,url\r\n".to_owned();
        for entry in &self.entries {
            let at = entry.at.to_string();
            let who = entry.who.as_deref().unwrap_or_default();
            let url = entry.url.as_deref().unwrap_or_default();
            let values = [at.as_str(), entry.source.as_str(), &entry.kind, &entry.text, who, url].map(value);
            out.push_str(&values.join(","));
            out.push_str("\r\n");
        }
        out
    }
}

/// A text within a line of Markdown, so that nothing in it is a mark, a link, HTML, or the end of a cell.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in clean(text, CELL).chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out
}

/// An address as Markdown's link takes it; `None` where it is none that people should follow.
fn address(url: &str) -> Option<String> {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    if !is_web || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return None;
    }
    let escaped = |c: char| match c {
        '(' => "%28".to_owned(),
        ')' => "%29".to_owned(),
        '<' => "%3C".to_owned(),
        '>' => "%3E".to_owned(),
        '|' => "%7C".to_owned(),
        '\\' => "%5C".to_owned(),
        '"' => "%22".to_owned(),
        c => c.to_string(),
    };
    Some(url.chars().map(escaped).collect())
}

fn value(text: &str) -> String {
    let formula = if text.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{formula}{}\"", text.replace('"', "\"\"")),
        false => format!("{formula}{text}"),
    }
}
