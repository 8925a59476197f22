//! The files of a folder that this command writes: all or none, and nobody else's.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};

/// What each of them says within its first lines: whatever else is in its place is not ours.
pub(super) const MARK: &str = "# Written by `se-responder kubeconfig`";
const WITHIN: usize = 3;

/// A file as it is to be.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) name: &'static str,
    text: String,
    mode: u32,
}

impl Own {
    pub(super) fn new(name: &'static str, text: String) -> Self {
        Self { name, text, mode: 0o644 }
    }

    /// For its owner's eyes.
    pub(super) fn secret(name: &'static str, text: String) -> Self {
        Self { name, text, mode: 0o600 }
    }

    pub(super) fn program(name: &'static str, text: String) -> Self {
        Self { name, text, mode: 0o755 }
    }
}

/// What became of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is there as it is to be.
    Same,
    /// It was written.
    Written,
}

/// Writes these files into a folder, which is made where there is none.
///
/// # Errors
/// One is there that is not ours, and differs: then none is written. Or one can't be written.
pub(super) fn write(folder: &Path, files: &[Own]) -> anyhow::Result<Vec<Kept>> {
    let mut all = Vec::new();
    for file in files {
        let path = folder.join(file.name);
        all.push(match fs::read(&path) {
            Ok(text) if text == file.text.as_bytes() => Kept::Same,
            Ok(text) if is_ours(&text) => Kept::Written,
            Ok(_) => bail!(
                "{} is there, and was not written by this command: move it away, or choose another folder with --out; nothing was written",
                path.display()
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => Kept::Written,
            Err(error) => return Err(error).with_context(|| format!("{} can't be read", path.display())),
        });
    }
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("the folder {} can't be made", folder.display()))?;
    for (file, kept) in files.iter().zip(&all) {
        let path = folder.join(file.name);
        let done = match kept {
            // Somebody may have opened it to others meanwhile.
            Kept::Same => set_mode(&File::open(&path)?, file.mode),
            Kept::Written => replace(&path, file),
        };
        done.with_context(|| format!("{} can't be written", path.display()))?;
    }
    Ok(all)
}

fn is_ours(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').take(WITHIN).any(|line| line.starts_with(MARK.as_bytes()))
}

fn set_mode(file: &File, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

/// Whole or not at all, and never for more eyes than it is meant for.
fn replace(path: &Path, own: &Own) -> std::io::Result<()> {
    // Nobody else's has that name.
    let beside = path.with_file_name(format!(".{}.se-responder-new", own.name));
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(own.mode).open(&beside)?;
    set_mode(&file, own.mode)?;
    file.write_all(own.text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
