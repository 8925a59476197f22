//! A Jenkins console becomes boxes.
//!
//! A console is bytes from outside: it comes in pieces, may be hundreds of megabytes, and is mostly not about boxes.
//! Bytes lose their colours ([`ansi`]), lines their time stamps ([`prefix`]), what is left is scanned for arrays
//! ([`scan`]); an array that looks like a box is one, or is told as unreadable ([`element`]), and all of it is kept
//! within bounds ([`collect`]). Nothing is held but the array at hand and what was found.

mod amount;
mod ansi;
mod collect;
mod element;
mod prefix;
mod scan;

use super::Console;
use ansi::Ansi;
use collect::Collector;
use scan::{End, Scanner};

/// How much of a line's beginning is looked at to tell its prefix.
const HEAD: usize = 512;

/// Reads a console as it grows; keeps no more than a bounded piece of it.
///
/// Where the pieces are cut makes no difference.
#[derive(Clone, Debug, Default)]
pub struct Parser {
    ansi: Ansi,
    /// The beginning of the current line, until it is long enough or ends.
    head: Vec<u8>,
    /// The current line's head has been scanned; the rest goes straight through.
    past_head: bool,
    /// What stood before the `[` of the last array that was opened.
    learned: Vec<u8>,
    scanner: Scanner,
    found: Collector,
}

impl Parser {
    /// Takes the next piece of the console, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if self.ansi.is_idle() {
                let plain = rest.iter().position(|b| matches!(*b, b'\n' | b'\r' | ansi::ESC)).unwrap_or(rest.len());
                if plain > 0 {
                    self.text(&rest[..plain]);
                    rest = &rest[plain..];
                    continue;
                }
            }
            rest = &rest[1..];
            match self.ansi.strip(first) {
                // A lone CR starts the line again on a terminal: for us it ends one, as in CRLF.
                Some(b'\n' | b'\r') => self.end_line(),
                Some(byte) => self.text(&[byte]),
                None => {}
            }
        }
    }

    /// What the console printed, once it is whole.
    pub fn finish(mut self) -> Console {
        self.end_line();
        if let Some(element) = self.scanner.cut(End::Console) {
            self.found.take(element);
        }
        self.found.finish()
    }

    /// Text of the current line, without colours.
    fn text(&mut self, text: &[u8]) {
        if self.past_head {
            return self.scan(text);
        }
        let (head, rest) = text.split_at(text.len().min(HEAD - self.head.len()));
        self.head.extend_from_slice(head);
        if self.head.len() == HEAD {
            self.scan_head();
            self.past_head = true;
            self.scan(rest);
        }
    }

    fn end_line(&mut self) {
        if !self.past_head {
            self.scan_head();
        }
        self.past_head = false;
        if let Some(element) = self.scanner.end_line() {
            self.found.take(element);
        }
    }

    fn scan_head(&mut self) {
        let head = std::mem::take(&mut self.head);
        let stripped = self.scanner.is_open().then(|| prefix::strip(&head, &self.learned));
        match stripped {
            Some(Some(rest)) => self.scan(rest),
            // No array is open, or this line breaks it off: the next one's lines will begin as its first does.
            Some(None) | None => {
                self.learned.clear();
                self.learned.extend_from_slice(prefix::before_array(&head));
                self.scan(if stripped.is_some() { prefix::known(&head) } else { &head });
            }
        }
        self.head = head;
        self.head.clear();
    }

    fn scan(&mut self, text: &[u8]) {
        let mut rest = text;
        while !rest.is_empty() {
            if !self.scanner.is_open() {
                let Some(at) = rest.iter().position(|b| *b == b'[') else { return };
                rest = &rest[at..];
            }
            if let Some(element) = self.scanner.step(rest[0]) {
                self.found.take(element);
            }
            rest = &rest[1..];
        }
    }
}

/// Reads a whole console.
pub fn parse(console: &[u8]) -> Console {
    let mut parser = Parser::default();
    parser.feed(console);
    parser.finish()
}

#[cfg(test)]
mod tests;
