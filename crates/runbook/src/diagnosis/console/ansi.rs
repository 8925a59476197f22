//! Colours and other terminal sequences, and Jenkins' hidden notes, are taken out byte by byte.

/// The byte that begins a sequence.
pub(super) const ESC: u8 = 0x1b;

/// Where in a sequence the console is.
#[derive(Clone, Debug, Default)]
pub(super) struct Ansi {
    state: State,
    /// Between `ESC[8m` and the next colour: hidden text, where Jenkins puts its annotations (`ha:…`).
    hidden: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte, as in `ESC ( B`.
    Charset,
    /// In `ESC [ … letter`; whether its parameters are `8` so far (0 none, 1 is `8`, 2 anything else).
    Csi(u8),
    /// In `ESC ] … BEL`, or `ESC ] … ESC \`.
    Osc,
}

impl Ansi {
    /// Whether the next byte, if it is no ESC and no line end, is plain text.
    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Text && !self.hidden
    }

    /// The byte, if it belongs to the text. A line end always does: nothing hides the next line.
    pub(super) fn strip(&mut self, byte: u8) -> Option<u8> {
        if matches!(byte, b'\n' | b'\r') {
            *self = Self::default();
            return Some(byte);
        }
        let (state, text) = match (self.state, byte) {
            (_, ESC) => (State::Escape, false),
            (State::Text, _) => (State::Text, true),
            (State::Escape, b'[') => (State::Csi(0), false),
            (State::Escape, b']') => (State::Osc, false),
            (State::Escape | State::Charset, 0x20..=0x2f) => (State::Charset, false),
            (State::Escape | State::Charset, 0x30..=0x7e) => (State::Text, false),
            (State::Csi(0), b'8') => (State::Csi(1), false),
            (State::Csi(_), 0x20..=0x3f) => (State::Csi(2), false),
            (State::Csi(parameters), 0x40..=0x7e) => {
                if byte == b'm' {
                    self.hidden = parameters == 1;
                }
                (State::Text, false)
            }
            (State::Osc, 0x07) => (State::Text, false),
            (State::Osc, _) => (State::Osc, false),
            // No sequence after all: what stands here is text again.
            (State::Escape | State::Charset | State::Csi(_), _) => (State::Text, true),
        };
        self.state = state;
        (text && !self.hidden).then_some(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_through_at_once_except_in_a_sequence_and_where_it_is_hidden() {
        let mut ansi = Ansi::default();
        let mut idle = |byte: u8| {
            ansi.strip(byte);
            ansi.is_idle()
        };
        assert!(idle(b'a'));
        for byte in *b"\x1b[8" {
            assert!(!idle(byte), "in a sequence");
        }
        assert!(!idle(b'm') && !idle(b'a'), "hidden");
        assert!(idle(b'\n'), "nothing hides the next line");
        assert!(Ansi::default().is_idle());
    }
}
