//! A Jenkins console becomes boxes.

use super::Console;

/// Reads a console as it grows; keeps no more than a bounded piece of it.
#[derive(Clone, Debug, Default)]
pub struct Parser;

impl Parser {
    /// Takes the next piece of the console, cut anywhere.
    pub fn feed(&mut self, _bytes: &[u8]) {}

    /// What the console printed, once it is whole.
    pub fn finish(self) -> Console {
        Console::default()
    }
}

/// Reads a whole console.
pub fn parse(console: &[u8]) -> Console {
    let mut parser = Parser::default();
    parser.feed(console);
    parser.finish()
}
