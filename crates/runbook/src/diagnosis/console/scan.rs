//! Arrays are found in the text, one byte at a time, and never more than one is held: a `[` where none may be begins
//! the next one, so whatever is wrong with one array never hides the next.

/// How many fields are kept; a box has five, more are counted only.
const FIELDS: usize = 6;
/// How much of a field is kept, in bytes. The longest that we know of, Magic Box IDs, have about 80.
const LONGEST_FIELD: usize = 512;
/// How much of an array is kept to be quoted, in bytes.
const QUOTED: usize = 600;

/// How an array ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With its `]`.
    Closed,
    /// The next one began.
    NextArray,
    /// Its line ended inside a string.
    Line,
    /// Something came that can't stand in an array.
    Stray,
    /// The console ended.
    Console,
}

/// One field of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// A string.
    Text(String),
    /// A value that is no string.
    Bare(String),
    /// A string that was cut off, is too long, or is no text.
    Broken(String),
}

/// An array of scalars, as far as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// The first few fields.
    pub(super) fields: Vec<Field>,
    /// How many there were.
    pub(super) count: usize,
    /// Its beginning as it was printed.
    pub(super) raw: Vec<u8>,
    /// How it ended.
    pub(super) end: End,
}

#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    Outside,
    /// After `[`.
    First,
    /// After a comma.
    Value,
    InString {
        escaped: bool,
    },
    Bare,
    /// After a value.
    After,
}

/// The array at hand.
#[derive(Clone, Debug, Default)]
pub(super) struct Scanner {
    state: State,
    fields: Vec<Field>,
    count: usize,
    raw: Vec<u8>,
    /// The field at hand, up to [`LONGEST_FIELD`] and one byte more, which tells that it is too long.
    partial: Vec<u8>,
}

impl Scanner {
    /// Whether an array is open.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, State::Outside)
    }

    /// Takes one byte of a line; hands out the array that it ends, well or badly.
    pub(super) fn step(&mut self, byte: u8) -> Option<Element> {
        if !self.is_open() {
            if byte == b'[' {
                self.begin();
            }
            return None;
        }
        if let State::InString { escaped } = self.state {
            self.quote(byte);
            return self.in_string(byte, escaped);
        }
        if byte == b' ' || byte == b'\t' {
            self.blank();
            return None;
        }
        if byte == b'[' {
            let ended = self.cut(End::NextArray);
            self.begin();
            return ended;
        }
        self.quote(byte);
        let next = match (&self.state, byte) {
            (State::First | State::Value, b'"') => State::InString { escaped: false },
            (State::First | State::After, b']') => return self.close(End::Closed),
            (State::Bare, b']') => {
                self.end_bare();
                return self.close(End::Closed);
            }
            (State::Bare, b',') => {
                self.end_bare();
                State::Value
            }
            (State::After, b',') => State::Value,
            (State::Value, b']') | (State::First | State::Value, b',') | (State::After, _) | (State::Bare, b'"') => {
                return self.cut(End::Stray);
            }
            (_, byte) => {
                self.keep(byte);
                State::Bare
            }
        };
        self.state = next;
        None
    }

    /// Takes the end of a line.
    pub(super) fn end_line(&mut self) -> Option<Element> {
        if let State::InString { .. } = self.state {
            return self.cut(End::Line);
        }
        self.blank();
        None
    }

    /// Gives up the array at hand.
    pub(super) fn cut(&mut self, end: End) -> Option<Element> {
        match self.state {
            State::InString { .. } => {
                let text = self.lossy();
                self.add(Field::Broken(text));
            }
            State::Bare => self.end_bare(),
            _ => {}
        }
        self.close(end)
    }

    fn in_string(&mut self, byte: u8, escaped: bool) -> Option<Element> {
        match byte {
            b'"' if !escaped => {
                // `"Rea["registry-…"`: the string was cut off, and this quote opens the next array's first one.
                if !self.partial.trim_ascii_end().ends_with(b"[") {
                    let text = self.end_text();
                    self.add(text);
                    self.state = State::After;
                    return None;
                }
                let ended = self.cut(End::NextArray);
                self.begin();
                self.quote(byte);
                self.state = State::InString { escaped: false };
                ended
            }
            _ => {
                self.keep(byte);
                self.state = State::InString { escaped: byte == b'\\' && !escaped };
                None
            }
        }
    }

    fn begin(&mut self) {
        self.fields = Vec::new();
        self.count = 0;
        self.raw.clear();
        self.partial.clear();
        self.quote(b'[');
        self.state = State::First;
    }

    fn close(&mut self, end: End) -> Option<Element> {
        if !self.is_open() {
            return None;
        }
        self.state = State::Outside;
        self.partial.clear();
        if self.count == 0 {
            return None;
        }
        let fields = std::mem::take(&mut self.fields);
        Some(Element { fields, count: self.count, raw: std::mem::take(&mut self.raw), end })
    }

    /// White space between values.
    fn blank(&mut self) {
        if matches!(self.state, State::Bare) {
            self.end_bare();
            self.state = State::After;
        }
        if self.is_open() && self.raw.last() != Some(&b' ') {
            self.quote(b' ');
        }
    }

    fn quote(&mut self, byte: u8) {
        if self.raw.len() < QUOTED {
            self.raw.push(byte);
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.partial.len() <= LONGEST_FIELD {
            self.partial.push(byte);
        }
    }

    fn add(&mut self, field: Field) {
        self.partial.clear();
        self.count = self.count.saturating_add(1);
        if self.fields.len() < FIELDS {
            self.fields.push(field);
        }
    }

    fn end_bare(&mut self) {
        let text = self.lossy();
        self.add(Field::Bare(text));
    }

    fn end_text(&self) -> Field {
        if self.partial.len() > LONGEST_FIELD {
            return Field::Broken(self.lossy());
        }
        let text = if self.partial.contains(&b'\\') {
            let json = [b"\"", &self.partial[..], b"\""].concat();
            serde_json::from_slice(&json).ok()
        } else {
            std::str::from_utf8(&self.partial).ok().map(str::to_owned)
        };
        text.map_or_else(|| Field::Broken(self.lossy()), Field::Text)
    }

    fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.partial).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arrays of a console, the last one given up at its end.
    fn scan(console: &str) -> Vec<Element> {
        let mut scanner = Scanner::default();
        let mut found = Vec::new();
        for byte in console.bytes() {
            found.extend(if byte == b'\n' { scanner.end_line() } else { scanner.step(byte) });
        }
        found.extend(scanner.cut(End::Console));
        found
    }

    fn only(console: &str) -> Element {
        let mut found = scan(console);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn an_array_is_open_from_its_first_bracket_to_its_last() {
        let mut scanner = Scanner::default();
        let mut open = |byte: u8| {
            scanner.step(byte);
            scanner.is_open()
        };
        assert!(!open(b'a'));
        assert!(open(b'[') && open(b'1'));
        assert!(!open(b']') && !open(b'a'));
    }

    #[test]
    fn white_space_between_values_is_quoted_as_one_blank() {
        assert_eq!(only("  [ \t 1 ,\n\n  \"a  b\" ]  ").raw, b"[ 1 , \"a  b\" ]");
    }

    #[test]
    fn a_value_that_is_broken_off_counts() {
        for (console, end) in
            [("[\"a\", 12", End::Console), ("[\"a\", 12[", End::NextArray), ("[\"a\", 12\"", End::Stray)]
        {
            let element = only(console);
            assert_eq!(element.fields, [Field::Text("a".into()), Field::Bare("12".into())], "{console}");
            assert_eq!((element.count, element.end), (2, end), "{console}");
        }
    }

    #[test]
    fn the_first_fields_are_kept_and_all_are_counted() {
        let element = only(&format!("[{}9]", "9,".repeat(9)));
        assert_eq!((element.fields.len(), element.count), (FIELDS, 10));
    }

    #[test]
    fn a_string_is_kept_up_to_its_longest_and_never_taken_for_a_shorter_one() {
        let longest = "x".repeat(LONGEST_FIELD);
        let field = |length: usize| only(&format!("[\"{}\"]", "x".repeat(length))).fields.remove(0);
        assert_eq!(field(LONGEST_FIELD), Field::Text(longest.clone()));
        for more in [1, 2, 100] {
            assert_eq!(field(LONGEST_FIELD + more), Field::Broken(format!("{longest}x")), "{more}");
        }
    }

    #[test]
    fn an_array_is_quoted_up_to_a_bound() {
        let quoted = |console: &str| only(console).raw.len();
        assert_eq!(quoted(&format!("[\"{}\"]", "x".repeat(QUOTED - 4))), QUOTED);
        assert_eq!(quoted(&format!("[\"{}\"]", "x".repeat(QUOTED))), QUOTED);
    }
}
