//! What every request has in common: who takes which method.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::harness::Stage;

#[tokio::test]
async fn every_address_takes_the_methods_that_are_described_and_no_other() {
    let stage = Stage::quick(&[]).await;
    let front = &stage.front;
    let description: Value = front.get("/openapi.json").await;
    let paths = description["paths"].as_object().expect("paths");
    assert!(paths.len() > 15, "{paths:?}");
    let all = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    for (path, described) in paths {
        let described: BTreeSet<String> =
            described.as_object().expect("methods").keys().map(|method| method.to_uppercase()).collect();
        let address = format!("{}{}", front.url, path.replace("{id}", "none").replace("{name}", "none"));
        let mut taken = BTreeSet::new();
        for method in &all {
            let answer = front.http.request(method.clone(), &address).send().await.expect("an answer");
            if answer.status() != 405 {
                taken.insert(method.to_string());
            }
        }
        assert_eq!(taken, described, "{path}");
    }
}
