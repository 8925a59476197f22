//! How a simulator spells certain texts: as strict JSON does not allow it, the way real systems do.

/// Texts that are written as other bytes wherever they stand in an answer.
#[derive(Clone, Debug, Default)]
pub struct Spelling(Vec<(String, Vec<u8>)>);

impl Spelling {
    /// From now on `text` is written as `bytes`.
    pub fn set(&mut self, text: &str, bytes: &[u8]) {
        self.0.push((text.to_owned(), bytes.to_vec()));
    }

    /// An answer as it is written.
    pub(super) fn spell(&self, answer: String) -> Vec<u8> {
        let mut answer = answer.into_bytes();
        for (text, bytes) in &self.0 {
            let mut from = 0;
            while let Some(at) = answer[from..].windows(text.len()).position(|w| w == text.as_bytes()) {
                answer.splice(from + at..from + at + text.len(), bytes.iter().copied());
                from += at + bytes.len();
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_written_as_other_bytes_wherever_they_stand() {
        let mut spelling = Spelling::default();
        spelling.set("ODD", b"\\ud83d");
        spelling.set("BAD", b"\xff");
        assert_eq!(spelling.spell("{\"ODD\":\"BADODD\"}".into()), b"{\"\\ud83d\":\"\xff\\ud83d\"}");
    }
}
