//! Embeds the migrations, each as its number, its words and its SQL: `migrations.rs` includes them.
//!
//! `sqlx::migrate!` would do it too, but its macro has SQLite and both drivers built once more, for the machine that
//! compiles.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_MANIFEST_DIR");
    println!("cargo::rerun-if-changed=../../migrations");
    // Of the checkout that is built, not of the one that this was first built in: target folders are copied.
    let here = env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("CARGO_MANIFEST_DIR is not set"))?;
    let folder = Path::new(&here).join("../../migrations");
    let mut rows = String::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let parts = name.strip_suffix(".sql").and_then(|name| name.split_once('_'));
        let Some((number, words)) = parts.and_then(|(number, words)| Some((number.parse::<i64>().ok()?, words))) else {
            return Err(io::Error::other(format!("{name:?} is not <number>_<what>.sql")));
        };
        let words = words.replace('_', " ");
        writeln!(rows, "({number}, {words:?}, include_str!({:?})),", path.display().to_string())
            .map_err(io::Error::other)?;
    }
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    fs::write(Path::new(&out).join("migrations.rs"), format!("&[\n{rows}]\n"))
}
