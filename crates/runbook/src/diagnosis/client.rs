//! The client of the end-to-end test: what the healthcheck cluster sees, and whether it was the client. Runbook: "The PD is
//! driven by an end-to-end test from registry's healthcheck-prod cluster through SE to the registry clusters in this region",
//! and "If the problem was not with the healthcheck-prod cluster (the client in the end-to-end test) then this probably is a
//! CIE".
//!
//! A [`Look`] is what was seen at one time; the looks of a run become a [`Client`]. It never changes the verdict.

mod conclude;
pub mod front_end;
pub mod sample;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumMessage, VariantArray, VariantNames};
use utoipa::ToSchema;

use crate::alert::Region;

pub(super) use conclude::{Path, all_answer, conclude, sees_nothing};

crate::words! {
    ClientFinding: "finding about the client";
    Up: "state of a region's test";
    Reached: "result of a front end";
}

/// Whether it was the client; the first that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum ClientFinding {
    /// The region's test passes.
    Over,
    /// A Magic Box or a cluster of the region showed a fault at some time of the run.
    NotClient,
    /// The region's test could not be asked for, or no box of the region was read.
    Unknown,
    /// The healthcheck cluster itself is broken.
    ClientBroken,
    /// The test fails, and nothing behind the front ends does: the way from the healthcheck cluster to them.
    FrontEndPath,
}

/// What a region's query comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Up {
    /// Some sample is 1.
    Up,
    /// There are samples, and none is 1.
    Down,
    /// There is no sample, or only old ones.
    Absent,
}

/// What came of asking a front end from the healthcheck cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumMessage, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Reached {
    /// `probe_success 1`.
    Answers,
    /// `probe_success 0`.
    Fails,
    /// It was not asked, or nobody said what came of it.
    Unknown,
}

/// What the client says, and what that comes to: the API's `diagnosis.client`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Client {
    /// What it comes to.
    pub finding: ClientFinding,
    /// What could not be asked, and why; `None` where all was.
    pub error: Option<String>,
    /// The regions of the regions file, in its order; the alert's own last where the file lacks it.
    pub regions: Vec<ClientRegion>,
    /// The front ends of the region's boxes, each once; empty where the regions file gives no `context`.
    pub front_ends: Vec<FrontEnd>,
}

/// A region as the end-to-end tests see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientRegion {
    /// The region.
    pub region: Region,
    /// The test through the Service Endpoints; `None` where it could not be asked.
    pub se: Option<Up>,
    /// The test of the public endpoints; `None` where it could not be asked.
    pub public: Option<Up>,
}

/// A front end as the healthcheck cluster reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FrontEnd {
    /// Its address, without the prefix length.
    pub address: String,
    /// What came of asking it.
    pub result: Reached,
}

/// When what a [`Client`] shows was so, for the note.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClientTimes {
    /// One entry a region, in the order of [`Client::regions`].
    pub regions: Vec<RegionTimes>,
    /// When front ends were asked; `None` where none was.
    #[serde(default)]
    pub front_ends: Option<Timestamp>,
}

/// The times of a region's newest samples, by the clock of Prometheus. `None`: there was none, or it was not asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegionTimes {
    /// Of the test through the Service Endpoints.
    pub se: Option<Timestamp>,
    /// Of the test of the public endpoints.
    pub public: Option<Timestamp>,
}

/// What is asked of the client, by the regions file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The regions that are asked for.
    pub regions: Vec<Region>,
    /// Whether front ends are asked too: the file gives a `context`.
    pub front_ends: bool,
}

impl Asked {
    /// "One query a region of the file"; "the alert's region is asked for too where the file lacks it".
    pub fn about(region: &Region, of_file: impl IntoIterator<Item = Region>, front_ends: bool) -> Self {
        let mut regions: Vec<Region> = of_file.into_iter().collect();
        if !regions.contains(region) {
            regions.push(region.clone());
        }
        Self { regions, front_ends }
    }
}

/// What was seen of the client at one time. Its times are those of people's clocks, never our service time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// What Prometheus said of each region.
    pub regions: Vec<RegionLook>,
    /// What the exporter said of each front end.
    #[serde(default)]
    pub front_ends: Vec<FrontEndLook>,
}

/// What Prometheus said of a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionLook {
    /// The region.
    pub region: Region,
    /// The answer to `query_se`.
    pub se: Answer,
    /// The answer to `query_public`.
    pub public: Answer,
}

/// What one query came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// `None`: it could not be asked, or its answer can't be used.
    pub state: Option<Up>,
    /// The newest sample that says so, by Prometheus' clock; of [`Up::Absent`] the newest old one.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// Why it could not be asked, in words.
    #[serde(default)]
    pub why: Option<String>,
}

impl Answer {
    /// What could not be asked.
    pub fn not_asked(why: impl Into<String>) -> Self {
        Self { state: None, at: None, why: Some(why.into()) }
    }
}

/// What the exporter said of a front end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontEndLook {
    /// Its address.
    pub address: String,
    /// What came of it.
    pub result: Reached,
    /// Why that is not known, in words.
    #[serde(default)]
    pub why: Option<String>,
    /// When it was asked.
    pub at: Timestamp,
}
