//! Words that people who read at night, in a language that is not their first, stumble over. They stood there once; tests
//! hold everything that people read against this list, so that they do not come back.

/// The words, and what is plainer. Those with a capital are looked for as they stand, the others in any case.
pub const HARD: &[(&str, &str)] = &[
    ("a slip", "a typo"),
    ("a yes", "approval"),
    ("afresh", "again"),
    ("all is well", "everything is OK"),
    ("anew", "again"),
    ("answers it 200", "the box gets 200 from it"),
    ("any more", "no longer"),
    ("are ill", "are unhealthy"),
    ("are to come", "are pending"),
    ("are well", "are healthy"),
    ("be it", "whether"),
    ("broke off", "stopped early"),
    ("but for", "except"),
    ("by commas", "comma-separated"),
    ("by the way", "nothing"),
    ("early word", "early note"),
    ("early words", "early notes"),
    ("for ever", "forever"),
    ("forth", "forward"),
    ("gave way", "stopped"),
    ("go by the", "follow the"),
    ("is away", "is unreachable"),
    ("is ill", "is unhealthy"),
    ("is none of", "is not one of"),
    ("is to come", "is pending"),
    ("is well", "is healthy"),
    ("it is suggested", "it needs approval"),
    ("lest", "so that … not"),
    ("likewise", "the same"),
    ("loudly", "prominently"),
    ("mend", "fix"),
    ("mended", "fixed"),
    ("mending", "fixing"),
    ("mends", "fixes"),
    ("nobody on this alone", "nobody yet"),
    ("not all of it", "some of these"),
    ("not known here", "unknown"),
    ("not read whole", "missing"),
    ("or it is already over", "it may already be over"),
    ("page of runs", "run list"),
    ("read whole", "complete"),
    ("reckoned", "measured"),
    ("run's page", "run's view: a page is the incident"),
    ("say yes", "approve"),
    ("says yes", "approves"),
    ("set-up", "setup"),
    ("shows it not", "may not see it"),
    ("so says", "the runbook's rule says"),
    ("stays so", "stays fixed"),
    ("that says only", "reply … as a note"),
    ("well again", "healthy again"),
    ("whom to", "who to"),
    ("whose it is", "the owner"),
    ("AWAITED", "WAITING FOR"),
    ("BEFORE THIS", "EARLIER RUNS"),
    ("Broken at", "It breaks at"),
    ("COULD NOT BE FOUND", "NOT KNOWN"),
    ("Can't fix it", "If you can't fix it"),
    ("Left is", "What remains is"),
    ("Look at the healthcheck", "Check the healthcheck"),
    ("ODD", "WARNINGS"),
    ("The same again", "If the result is the same"),
    ("WAITED FIRST", "WAITED FOR OTHER PAGES"),
    ("WHOM", "WHO"),
];

/// How people no longer say that something is not: "is no number". "There is no number" they say.
const IS_NO: (&str, &str) = ("is no", "is not a");

/// The hard words of a text, each with what is plainer.
pub fn hard_words(text: &str) -> Vec<(&'static str, &'static str)> {
    // What ends a part of a sentence stands between words, as a word of its own.
    let text = text.replace(['.', ';', ':', '|', '?', '!', '(', ')'], " | ");
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '\'' | '_' | '|');
    let words = text.split(|c| !is_part(c)).map(|word| word.trim_matches('\'')).filter(|word| !word.is_empty());
    let as_it_stands = format!(" {} ", words.collect::<Vec<_>>().join(" "));
    let small = as_it_stands.to_lowercase();
    let stands = |hard: &str| {
        let whole = if hard.chars().any(char::is_uppercase) { &as_it_stands } else { &small };
        whole.contains(&format!(" {hard} "))
    };
    let words: Vec<&str> = small.split_whitespace().collect();
    let is_no = words.windows(4).any(|four| match four {
        [before, "is" | "are" | "was", "no", what] => {
            *before != "there" && !matches!(*what, "longer" | "more" | "less")
        }
        _ => false,
    });
    HARD.iter().filter(|(hard, _)| stands(hard)).copied().chain(is_no.then_some(IS_NO)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_words_are_found_as_words() {
        for (text, hard) in [
            ("Mend it: then, any\nmore", vec!["any more", "mend"]),
            ("amended, set up, forthcoming, oddly", vec![]),
            ("ODD. WHOM TO PAGE", vec!["whom to", "ODD", "WHOM"]),
            ("odd. The same again is drawn", vec!["The same again"]),
            ("Can't fix it: page Registry", vec!["Can't fix it"]),
            ("If you can't fix it, page Registry", vec![]),
            ("it is no number", vec!["is no"]),
            ("there is no number, it is no longer one; what it is. No number", vec![]),
            ("the run's page, 'anew'", vec!["anew", "run's page"]),
        ] {
            assert_eq!(hard_words(text).into_iter().map(|(word, _)| word).collect::<Vec<_>>(), hard, "{text:?}");
        }
    }

    #[test]
    fn the_list_is_in_order_and_no_plain_word_is_hard() {
        let key = |word: &str| (word.chars().any(char::is_uppercase), word.to_owned());
        assert!(HARD.iter().map(|(hard, _)| key(hard)).is_sorted());
        for (hard, plain) in HARD {
            assert!(hard_words(plain).is_empty(), "what is plainer than {hard:?}");
        }
    }
}
