//! Everything that people read is in plain words: docs, views, the command line, errors, `doctor`'s lines, messages, alert rules.
//! It is read at night, often by people whose first language is another one.

use std::fs;
use std::path::{Path, PathBuf};

use runbook::plain::hard_words;

use crate::docs::{fenced, pages};
use crate::harness::Stage;
use crate::process::run;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder of the repository that end so.
fn files(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let (mut found, mut left) = (Vec::new(), vec![root().join(folder)]);
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
            let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            found.push((name, fs::read_to_string(&path).expect("text")));
        }
    }
    assert!(!found.is_empty(), "nothing in {folder}");
    found
}

/// What is wrong with a text, a line a word.
fn wrong(place: &str, text: &str) -> Vec<String> {
    let line = |(hard, plain)| format!("{place}: {hard:?}; plainer is {plain:?}: {text:.200}");
    hard_words(text).into_iter().map(line).collect()
}

fn hold(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The text without what stands between these marks.
fn without(text: &str, from: &str, to: &str) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(from) {
        kept += before;
        rest = after.split_once(to).map_or("", |(_, rest)| rest);
    }
    kept + rest
}

/// The string literals of a file of Rust, those of its tests aside, each without what is filled into it.
fn literals(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let (mut found, mut rest) = (Vec::new(), source);
    while let Some(at) = rest.find(['"', '\'', '/']) {
        let (before, from) = rest.split_at(at);
        let raw = before.trim_end_matches('#');
        rest = if from.starts_with("//") {
            from.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(text) = from.strip_prefix('"').filter(|_| raw.ends_with('r')) {
            let (text, rest) = text.split_once(&format!("\"{}", &before[raw.len()..])).unwrap_or((text, ""));
            found.push(text.to_owned());
            rest
        } else if let Some(text) = from.strip_prefix('"') {
            let mut escaped = false;
            let is_end = |c: char| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            };
            let (text, rest) = text.split_at(text.find(is_end).unwrap_or(text.len()));
            found.push(text.split("\\\n").map(str::trim_start).collect());
            rest.strip_prefix('"').unwrap_or_default()
        } else if from.starts_with("'\"'") || from.starts_with("'\\") {
            // A character: a quote in it begins no text.
            from[2..].split_once('\'').map_or("", |(_, rest)| rest)
        } else {
            &from[1..]
        };
    }
    found.iter().map(|text| without(text, "{", "}").replace("\\n", "\n").replace("\\\"", "\"")).collect()
}

/// The files of Rust that are built into the service, and the scenarios' words.
fn built() -> Vec<(String, String)> {
    let all: Vec<(String, String)> = ["src", "crates"].iter().flat_map(|folder| files(folder, &[".rs"])).collect();
    // Modules that are for tests only, by their folders.
    let for_tests: Vec<PathBuf> = all
        .iter()
        .flat_map(|(name, text)| {
            let path = Path::new(name);
            let is_root = ["lib.rs", "main.rs"].iter().any(|root| path.ends_with(root));
            let folder = if is_root { path.parent().expect("a folder").into() } else { path.with_extension("") };
            let modules = text.split("#[cfg(").skip(1).filter_map(move |rest| {
                let (when, rest) = rest.split_once(")]\n")?;
                let (line, _) = rest.split_once(";")?;
                (when.contains("test") && !line.contains('\n')).then(|| line.rsplit_once("mod "))?
            });
            modules.map(move |(_, module)| folder.join(module)).collect::<Vec<_>>()
        })
        .collect();
    let is_built = |name: &str| {
        let module = Path::new(name).with_extension("");
        let is_test = name.contains("/tests/") || for_tests.iter().any(|test| module.starts_with(test));
        !is_test && (!name.starts_with("crates/simulators") || name.contains("/scenario"))
    };
    all.into_iter().filter(|(name, _)| is_built(name)).collect()
}

#[test]
fn the_manual_is_in_plain_words() {
    let prose = |text: &str| fenced(text).0.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    let lines = |(path, text): (String, String)| {
        let prose = prose(&text).replace("\n|", "\n\n|").replace("\n- ", "\n\n- ");
        prose.split("\n\n").flat_map(|part| wrong(&path, part)).collect::<Vec<_>>()
    };
    hold(&pages().into_iter().flat_map(lines).collect::<Vec<_>>());
}

/// Errors, `doctor`'s lines, views, early words, messages to Slack, GHE's issues, the log: whatever is written stands in the code.
#[test]
fn what_the_service_writes_is_in_plain_words() {
    let built = built();
    for place in ["src/doctor/report.rs", "src/run/notify/issue.rs", "crates/runbook/src/notify/text.rs"] {
        assert!(built.iter().any(|(name, _)| name == place), "{place} is not looked at");
    }
    let texts: Vec<(&String, String)> =
        built.iter().flat_map(|(name, code)| literals(code).into_iter().map(move |text| (name, text))).collect();
    for text in ["Service Endpoint team paged", "no run has this id", "Still diagnosing ", "no risky settings"] {
        assert!(texts.iter().any(|(_, known)| known.contains(text)), "{text:?} is not found");
    }
    hold(&texts.iter().flat_map(|(name, text)| wrong(name, text)).collect::<Vec<_>>());
}

#[test]
fn views_are_in_plain_words() {
    let mut found = Vec::new();
    for (name, text) in files("templates", &[".html"]).into_iter().chain(files("assets", &[".js"])) {
        let text = without(&without(&text, "{%", "%}"), "{{", "}}");
        found.extend(text.lines().flat_map(|line| wrong(&name, line)));
    }
    hold(&found);
}

#[tokio::test]
async fn the_command_lines_help_is_in_plain_words() {
    let all = run(&["--help"], &[], "").await.stdout;
    let (_, commands) = all.split_once("Commands:\n").expect("the commands");
    let names = commands.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    let (mut found, mut count) = (wrong("--help", &all), 0);
    for name in names {
        count += 1;
        found.extend(wrong(name, &run(&["help", name], &[], "").await.stdout));
    }
    assert!(count > 10, "{count} commands:\n{all}");
    hold(&found);
}

#[tokio::test]
async fn the_description_of_the_api_is_in_plain_words() {
    fn texts<'a>(value: &'a serde_json::Value, found: &mut Vec<&'a str>) {
        match value {
            serde_json::Value::String(text) => found.push(text),
            serde_json::Value::Array(all) => all.iter().for_each(|value| texts(value, found)),
            serde_json::Value::Object(all) => all.values().for_each(|value| texts(value, found)),
            _ => {}
        }
    }
    let description = Stage::quick(&[]).await.front.get("/openapi.json").await;
    let mut all = Vec::new();
    texts(&description, &mut all);
    assert!(all.len() > 500, "{} texts", all.len());
    hold(&all.into_iter().flat_map(|text| wrong("/openapi.json", text)).collect::<Vec<_>>());
}

/// Alert rules, the dashboard, manifests, and examples of settings with their comments.
#[test]
fn what_is_deployed_is_in_plain_words() {
    let settings = fs::read_to_string(root().join(".env.example")).expect(".env.example");
    let deployed = files("deploy", &[".yaml", ".json", ".env", ".service", "Containerfile"]);
    let examples = files("docs", &[".toml"]);
    let all = deployed.into_iter().chain(examples).chain([(".env.example".to_owned(), settings)]);
    hold(
        &all.flat_map(|(name, text)| text.lines().flat_map(|line| wrong(&name, line)).collect::<Vec<_>>())
            .collect::<Vec<_>>(),
    );
}

#[test]
fn the_texts_of_a_file_of_code_are_found() {
    let code = "// \"no\"\nlet a = \"one {x:?} \\\"two\\\"\"; let c = '\"'; let d = '\\''; fn f<'a>() { r#\"three \"x\" \"# }\n\
                let e = \"four \\\n   five\";\n#[cfg(test)]\nmod tests { \"six\" }";
    assert_eq!(literals(code), ["one  \"two\"", "three \"x\" ", "four five"]);
}
