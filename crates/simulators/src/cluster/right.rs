//! Which rights a request needs, so that what a cluster is asked can be held against what it is to grant.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

use axum::http::Uri;

use super::api::REVIEWS;
use super::deed::Deed;
use super::lock;

/// A right, in the terms of the access rules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The namespace.
    pub namespace: String,
    /// `configmaps`, `pods`, `pods/exec`, `pods/portforward`; of a request that the simulator doesn't know, its path.
    pub resource: String,
    /// The object's name, where one is asked for by its name.
    pub name: Option<String>,
    /// `get`, `list`, `create`.
    pub verb: String,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, resource, name, verb } = self;
        write!(f, "{namespace} {resource} {} {verb}", name.as_deref().unwrap_or("-"))
    }
}

/// Which rights a request needs. None for what everybody may who has signed in: the version, and asking about one's own rights.
pub(super) fn of(method: &str, uri: &Uri) -> Vec<Right> {
    if matches!(uri.path(), REVIEWS | "/version") {
        return Vec::new();
    }
    let Some(deed) = Deed::read(uri) else {
        return vec![Right {
            namespace: String::new(),
            resource: uri.path().to_owned(),
            name: None,
            verb: method.to_lowercase(),
        }];
    };
    let verbs = deed.verbs(method).iter();
    let right = |verb: &&str| Right {
        namespace: deed.namespace.clone(),
        resource: deed.resource.clone(),
        name: deed.name.clone(),
        verb: (*verb).to_owned(),
    };
    verbs.map(right).collect()
}

/// The file that `RIGHTS_LOG` names: `scripts/test` holds what its stories ask against the manifests.
static LOG: LazyLock<Option<PathBuf>> = LazyLock::new(|| std::env::var_os("RIGHTS_LOG").map(PathBuf::from));
/// What this process has written into it.
static LOGGED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Notes which rights a request to this cluster needs, each once a process.
pub(super) fn log(cluster: &str, method: &str, uri: &Uri) {
    let Some(path) = LOG.as_ref() else { return };
    for right in of(method, uri) {
        // Pods have other names in each test.
        let right = Right { name: right.name.filter(|_| !right.resource.starts_with("pods")), ..right };
        let line = format!("{cluster} {right}\n");
        if lock(&LOGGED).insert(line.clone()) {
            // In one piece: others write too.
            let log = File::options().append(true).create(true).open(path);
            log.and_then(|mut log| log.write_all(line.as_bytes())).expect("RIGHTS_LOG can be written");
        }
    }
}
