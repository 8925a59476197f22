//! Embeds the migrations, each as its number, its words and its SQL, as `migrations.rs`.
//!
//! `sqlx::migrate!` would do it too, but its macro has SQLite and both drivers built once more, for the machine that
//! compiles. The file names no path and is sorted: how long it is, and in what order, would show in the binary, which is the same
//! whoever builds it where.

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
    let mut paths = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    let mut rows = String::new();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let parts = name.strip_suffix(".sql").and_then(|name| name.split_once('_'));
        let Some((number, words)) = parts.and_then(|(number, words)| Some((number.parse::<i64>().ok()?, words))) else {
            return Err(io::Error::other(format!("{name:?} is not <number>_<what>.sql")));
        };
        let words = words.replace('_', " ");
        let sql = fs::read_to_string(&path)?;
        writeln!(rows, "({number}, {words:?}, {sql:?}),").map_err(io::Error::other)?;
    }
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    fs::write(Path::new(&out).join("migrations.rs"), format!("&[\n{rows}]\n"))
}
