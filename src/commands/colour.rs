//! Whether colours are wanted: on a terminal, unless `NO_COLOR` is set and not empty (<https://no-color.org>).

use std::ffi::OsStr;
use std::io::IsTerminal;

/// Whether what is written to this stream may be coloured.
pub fn wants_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !refuses(std::env::var_os("NO_COLOR").as_deref())
}

fn refuses(no_color: Option<&OsStr>) -> bool {
    no_color.is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_counts_where_it_is_not_empty_whatever_it_says() {
        let refused = |value: &str| refuses(Some(OsStr::new(value)));
        assert!(refused("1") && refused("0") && refused("false") && refused(" "));
        assert!(!refused("") && !refuses(None));
    }
}
