//! Whether colours are wanted: on a terminal, unless `NO_COLOR` is set and not empty (<https://no-color.org>), or `CLICOLOR` is 0;
//! with `CLICOLOR_FORCE` also where there is no terminal (<https://bixense.com/clicolors>).

use std::ffi::OsStr;
use std::io::IsTerminal;

/// Whether what is written to this stream may be coloured.
pub fn wants_colour(stream: &impl IsTerminal) -> bool {
    let [no, clicolor, force] = ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"].map(std::env::var_os);
    decide(stream.is_terminal(), no.as_deref(), clicolor.as_deref(), force.as_deref())
}

fn decide(terminal: bool, no_color: Option<&OsStr>, clicolor: Option<&OsStr>, force: Option<&OsStr>) -> bool {
    if no_color.is_some_and(|value| !value.is_empty()) {
        return false;
    }
    let forced = force.is_some_and(|value| !value.is_empty() && value != "0");
    forced || (terminal && clicolor.is_none_or(|value| value != "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variable_counts_as_its_convention_says() {
        let decide = |terminal, [no_color, clicolor, force]: [Option<&str>; 3]| {
            decide(terminal, no_color.map(OsStr::new), clicolor.map(OsStr::new), force.map(OsStr::new))
        };
        for (terminal, given, coloured) in [
            (true, [None, None, None], true),
            (false, [None, None, None], false),
            (true, [Some("1"), None, None], false),
            (true, [Some("0"), None, None], false),
            (true, [Some(" "), None, Some("1")], false),
            (true, [Some(""), None, None], true),
            (true, [None, Some("0"), None], false),
            (true, [None, Some("1"), None], true),
            (false, [None, Some("1"), None], false),
            (false, [None, Some("0"), Some("1")], true),
            (false, [None, None, Some("0")], false),
            (false, [None, None, Some("")], false),
        ] {
            assert_eq!(decide(terminal, given), coloured, "{terminal} {given:?}");
        }
    }
}
