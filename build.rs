//! What `--version` says of how this was built. The same sources, features and target give the same words.

use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SE_RESPONDER_COMMIT");
    let of =
        |name: &str| env::var_os(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty());
    println!("cargo::rustc-env=BUILT_FOR={}", of("TARGET").unwrap_or_default());
    // Whoever builds without the repository may say it; in a debug build each commit would have all built again.
    let commit = of("SE_RESPONDER_COMMIT").or_else(|| (of("PROFILE")? == "release").then(commit).flatten());
    println!("cargo::rustc-env=BUILT_OF={}", commit.as_deref().unwrap_or("not known"));
    let features =
        ["otel", "sim"].into_iter().filter(|name| of(&format!("CARGO_FEATURE_{}", name.to_uppercase())).is_some());
    let features = features.collect::<Vec<_>>().join(" ");
    println!("cargo::rustc-env=BUILT_WITH={}", if features.is_empty() { "none" } else { &features });
}

/// The commit that is checked out, and whether something differs from it; none where git, or the repository, is not here.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let said = Command::new("git").args(arguments).output().ok().filter(|said| said.status.success())?;
        Some(String::from_utf8(said.stdout).ok()?.trim().to_owned()).filter(|said| !said.is_empty())
    };
    // Of a package within somebody else's repository it would be theirs.
    let top = fs::canonicalize(git(&["rev-parse", "--show-toplevel"])?).ok()?;
    if top != fs::canonicalize(env::var_os("CARGO_MANIFEST_DIR")?).ok()? {
        return None;
    }
    for changes in ["HEAD", "logs/HEAD", "index"] {
        if let Some(path) = git(&["rev-parse", "--git-path", changes]).filter(|path| fs::exists(path).unwrap_or(false))
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
}
