//! Where a cluster's API server is, as somebody's own kubeconfig knows it: for the kubeconfig that is written for the
//! service. Credentials are not looked at.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::kubeconfig::cluster_of;
use super::words::tame;
use runbook::alert::Zone;

/// What stands for an address that is not known yet, around the zone's name: nobody can have it (RFC 2606).
const NOWHERE: (&str, &str) = ("api-server-of-", ".invalid");

/// A cluster's API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The context that it was found by.
    pub context: String,
    /// Its address.
    pub url: String,
    /// Who signs its certificate, in PEM and base64; `None`: a public authority.
    pub ca_data: Option<String>,
    /// The name in its certificate, where that is not the address.
    pub tls_server_name: Option<String>,
    /// The proxy on the way to it.
    pub proxy_url: Option<String>,
    /// Its certificate is not checked there; who takes the address over does not take that over.
    pub unverified: bool,
}

/// The API server of a zone's cluster: by the context that is wanted, else by the one named as the cluster, else by the only
/// one that begins with `<cluster>/`.
///
/// # Errors
/// In words: there is no kubeconfig or no such context, or it has no address.
pub fn server_of(kubeconfig: &[PathBuf], zone: &Zone, wanted: Option<&str>) -> Result<Server, String> {
    let found = cluster_of(kubeconfig, zone, wanted);
    let (context, cluster) = match found {
        // The regions file may name what is still to be made.
        Err(why) if wanted.is_some() => cluster_of(kubeconfig, zone, None).map_err(|_| why)?,
        found => found?,
    };
    let url = cluster.server.ok_or_else(|| format!("its context {} has no server", tame(&context, 100)))?;
    let ca_data = match (cluster.certificate_authority_data, cluster.certificate_authority) {
        (Some(data), _) => Some(data),
        (None, Some(path)) => {
            let pem = std::fs::read(Path::new(&path)).map_err(|e| {
                format!("the certificate authority {} of its context can't be read: {e}", tame(&path, 200))
            })?;
            Some(STANDARD.encode(pem))
        }
        (None, None) => None,
    };
    Ok(Server {
        context,
        url,
        ca_data,
        tls_server_name: cluster.tls_server_name,
        proxy_url: cluster.proxy_url,
        unverified: cluster.insecure_skip_tls_verify.unwrap_or_default(),
    })
}

/// Stands for the address of a cluster's API server until somebody writes it there.
pub fn placeholder(zone: &Zone) -> String {
    format!("https://{}{zone}{}:6443", NOWHERE.0, NOWHERE.1)
}

/// Whether an address is such a placeholder.
pub fn is_placeholder(url: &str) -> bool {
    let stands = |host: &str| host.starts_with(NOWHERE.0) && host.ends_with(NOWHERE.1);
    Url::parse(url).is_ok_and(|url| url.host_str().is_some_and(stands))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_told_from_an_address() {
        assert!(is_placeholder(&placeholder(&Zone::new("registry-prod-us-south-az1"))));
        for address in [
            "https://c1.us-south.containers.cloud.ibm.com:31234",
            "https://10.0.0.1",
            "https://no-such-host.invalid",
            "invalid",
            "",
        ] {
            assert!(!is_placeholder(address), "{address}");
        }
    }

    #[test]
    fn the_address_comes_with_what_it_takes_to_trust_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), "PEM").unwrap();
        let path = folder.path().join("config");
        let text = "clusters:\n- name: a\n  cluster: {server: 'https://a:1', certificate-authority: ca.pem, \
                    tls-server-name: n, proxy-url: 'http://p'}\n\
                    - name: b\n  cluster: {server: 'https://b:1', certificate-authority-data: 'UEVN', \
                    insecure-skip-tls-verify: true}\n- name: none\n  cluster: {}\n\
                    - name: gone\n  cluster: {server: 'https://g', certificate-authority: gone.pem}\n\
                    contexts:\n- name: az1/x\n  context: {cluster: a, user: u}\n- name: az2\n  context: {cluster: b}\n\
                    - name: az3\n  context: {cluster: none}\n- name: az4\n  context: {cluster: gone}\n";
        std::fs::write(&path, text).unwrap();
        let paths = [path];
        let of = |zone: &str, wanted: Option<&str>| server_of(&paths, &Zone::new(zone), wanted);
        let a = of("az1", None).unwrap();
        assert_eq!((a.context.as_str(), a.url.as_str(), a.ca_data.as_deref()), ("az1/x", "https://a:1", Some("UEVN")));
        assert_eq!((a.tls_server_name.as_deref(), a.proxy_url.as_deref()), (Some("n"), Some("http://p")));
        assert_eq!(of("az1", Some("not made yet")), Ok(a), "by the cluster's own name then");
        let b = of("az9", Some("az2")).unwrap();
        assert_eq!((b.url.as_str(), b.ca_data.as_deref(), b.unverified), ("https://b:1", Some("UEVN"), true));
        assert!(of("az3", None).unwrap_err().contains("has no server"));
        assert!(of("az4", None).unwrap_err().contains("gone.pem"));
        assert!(of("az9", Some("nope")).unwrap_err().contains("\"nope\""));
        assert!(server_of(&[], &Zone::new("az1"), None).unwrap_err().contains("no kubeconfig"));
    }
}
