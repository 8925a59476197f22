//! The tab's icon carries the verdict: a letter or two on its colour, so that many tabs are told apart.

/// The icon of a verdict, by the name of its colour in the style sheet.
pub(super) fn icon(tone: &str) -> Option<String> {
    let (letters, colour) = match tone {
        "se" => ("SE", "#b3201c"),
        "registry" => ("R", "#855300"),
        "mixed" => ("M", "#6b35b8"),
        "transient" => ("T", "#0b57c2"),
        "inconclusive" => ("?", "#566273"),
        "failed" => ("!", "#b3201c"),
        "none" => ("…", "#566273"),
        _ => return None,
    };
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 32 32\"><rect width=\"32\" height=\"32\" rx=\"8\" \
         fill=\"{colour}\"/><text x=\"16\" y=\"22.5\" text-anchor=\"middle\" font-family=\"sans-serif\" font-weight=\"700\" \
         font-size=\"18\" fill=\"#fff\">{letters}</text></svg>"
    ))
}
