//! `kubeconfig`: writes what it takes to let the service into the clusters of a regions file. It asks no cluster: what is to
//! be done there is a script, for somebody who may.

mod files;
mod text;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::output::print;
use crate::config::KubeconfigConfig;
use clusters::{Exporter, Server, has_context, is_placeholder, placeholder, server_of};
use files::{Kept, Own};
use runbook::alert::Zone;
use runbook::text::clean;

/// The kubeconfig's name in its folder.
const KUBECONFIG: &str = "kubeconfig";
/// The healthcheck cluster's name where it needs one: no zone's can have the underscore.
const HEALTHCHECK: &str = "_healthcheck";

/// A cluster that the service is to be let into.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Its name, and that of its token's file.
    name: String,
    /// What the service calls its context.
    context: String,
    /// The context by which it is reached by whoever sets it up.
    reached_by: String,
    /// Its API server.
    server: Server,
    /// What it must grant.
    grants: Grants,
}

/// What a cluster must grant, by the manifest's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grants {
    Registry,
    Healthcheck,
}

impl Grants {
    fn file(self) -> &'static str {
        match self {
            Self::Registry => "registry-cluster.yaml",
            Self::Healthcheck => "healthcheck-cluster.yaml",
        }
    }
}

/// Writes kubeconfig, manifests and token steps into a folder.
///
/// # Errors
/// What could not be written; nothing is, where something there is not this command's, or what was written there by hand can't be
/// read.
pub fn kubeconfig(config: &KubeconfigConfig, out: &Path) -> anyhow::Result<()> {
    let exporter = config.regions.healthcheck.as_ref().and_then(|healthcheck| healthcheck.exporter.as_ref());
    let (entries, unknown) = entries(config, exporter, &out.join(KUBECONFIG))?;
    let mut files = vec![
        Own::secret(KUBECONFIG, text::kubeconfig(&entries)),
        Own::new(Grants::Registry.file(), text::registry_cluster()),
        Own::new(text::TOKEN_SECRET_FILE, text::token_secret()),
        Own::program(text::STEPS, text::steps(&entries)),
    ];
    if let Some(exporter) = exporter {
        files.push(Own::new(Grants::Healthcheck.file(), text::healthcheck_cluster(&exporter.namespace)));
    }
    let kept = files::write(out, &files).with_context(|| format!("writing into {}", out.display()))?;
    for (file, kept) in files.iter().zip(kept) {
        let what = if kept == Kept::Same { "unchanged" } else { "written  " };
        print(&format!("{what} {}", out.join(file.name).display()))?;
    }
    for why in &unknown {
        print(&format!("warn      {why}"))?;
    }
    print(&text::next(out, &entries, !unknown.is_empty()))
}

/// Every cluster of the file, each context once; and of whose API server the address is not known, with why.
fn entries(
    config: &KubeconfigConfig,
    exporter: Option<&Exporter>,
    written: &Path,
) -> anyhow::Result<(Vec<Entry>, Vec<String>)> {
    let mut unknown = Vec::new();
    let mut entry = |name: &str, zone: &Zone, context: Option<&str>, grants| {
        let own = context.unwrap_or(zone.as_str()).to_owned();
        let (server, why) = find(&config.kubeconfig, written, zone, context)?;
        unknown.extend(why);
        Ok::<_, anyhow::Error>(Entry {
            name: name.to_owned(),
            reached_by: server.context.clone(),
            context: own,
            server,
            grants,
        })
    };
    let mut all = Vec::new();
    for zone in config.regions.all().iter().flat_map(|region| &region.zones) {
        all.push(entry(zone.zone.as_str(), &zone.zone, zone.context.as_deref(), Grants::Registry)?);
    }
    if let Some(exporter) = exporter {
        all.push(entry(HEALTHCHECK, &Zone::new(HEALTHCHECK.to_owned()), Some(&exporter.context), Grants::Healthcheck)?);
    }
    Ok((all, unknown))
}

/// A cluster's API server: as it stands in the kubeconfig that was written before, since somebody may have written it there; else by
/// the person's own; else a placeholder. With it what is to be warned of.
fn find(
    own: &[PathBuf],
    written: &Path,
    zone: &Zone,
    context: Option<&str>,
) -> anyhow::Result<(Server, Option<String>)> {
    let wanted = context.unwrap_or(zone.as_str());
    let named = clean(wanted, 100);
    let own = server_of(own, zone, context).and_then(|server| match is_placeholder(&server.url) {
        true => Err("its address in KUBECONFIG is a placeholder".to_owned()),
        false => Ok(server),
    });
    let there = written_before(written, zone, wanted)?.filter(|server| !is_placeholder(&server.url));
    let server = match (own, there) {
        // What reaches it there is still the person's own context.
        (Ok(own), Some(there)) => Server { context: own.context, ..there },
        (Ok(server), None) | (Err(_), Some(server)) => server,
        (Err(why), None) => {
            let server = Server {
                context: wanted.to_owned(),
                url: placeholder(zone),
                ca_data: None,
                tls_server_name: None,
                proxy_url: None,
                unverified: false,
            };
            let what = format!("{named}: the API server's address is not known, a placeholder stands for it: {why}");
            return Ok((server, Some(what)));
        }
    };
    let unverified = (server.unverified && server.ca_data.is_none()).then(|| {
        format!(
            "{named}: context {} does not check the server's certificate, which is not taken over: write its \
             certificate-authority-data into the kubeconfig",
            clean(&server.context, 100)
        )
    });
    Ok((server, unverified))
}

/// As it stands in the kubeconfig that was written before; `None`: that, or the context, is not there.
fn written_before(written: &Path, zone: &Zone, context: &str) -> anyhow::Result<Option<Server>> {
    let read = has_context(written, context).and_then(|is_there| match is_there {
        true => server_of(&[written.to_path_buf()], zone, Some(context)).map(Some),
        false => Ok(None),
    });
    read.map_err(|why| {
        anyhow::anyhow!(
            "nothing was written: {} was not written by this command, or was changed since, and would be lost: {why}. Move it away, \
             or choose another folder with --out",
            written.display()
        )
    })
}

/// The entries of the kubeconfig: of several with one context the first, since that is the one that counts.
fn contexts(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    let mut seen = BTreeSet::new();
    entries.iter().filter(move |entry| seen.insert(entry.context.as_str()))
}

#[cfg(test)]
mod tests;
