//! A simulated cluster to try other people's clients on: `cargo run --example simulate_cluster`.
//!
//! Prints one line of JSON (the kubeconfig's path, the context, the pods) and serves until standard input closes. The
//! first private pod answers 200, the second refuses; `kubectl --kubeconfig <path> --context <context> …` works on it.

use std::io::Write as _;

use simulators::cluster::{Answer, Cluster, Plan, PodPlan, kubeconfig};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let zone = "registry-prod-us-south-az1";
    let mut plan = Plan::healthy(zone).private(|i, pod| {
        if i > 0 {
            (pod.answer, pod.curl) = (Answer::Refused, false);
        }
    });
    plan.pods.extend((0..7).map(|i| PodPlan::running("crowd", &format!("one-of-many-{i}"), &["main"])));
    let cluster = Cluster::start(plan).await?;
    let restricted = Plan::healthy("registry-prod-us-south-az2")
        .without_konicle()
        .refusing("list", "pods")
        .refusing("get", "pods/portforward")
        .refusing("get", "pods/exec");
    let restricted = Cluster::start(restricted).await?;

    let directory = std::env::temp_dir().join(format!("simulate-cluster-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let path = directory.join("kubeconfig");
    std::fs::write(&path, kubeconfig(&[&cluster, &restricted]))?;
    let told = serde_json::json!({
        "kubeconfig": path, "context": cluster.context(), "restricted_context": restricted.context(),
        "url": cluster.url(),
    });
    println!("{told}");
    std::io::stdout().flush()?;

    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}
