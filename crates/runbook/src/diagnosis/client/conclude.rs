//! The looks of a run become a finding about the client.

use jiff::Timestamp;

use super::{
    Answer, Asked, Client, ClientFinding, ClientRegion, ClientTimes, FrontEnd, FrontEndLook, Look, Reached,
    RegionTimes, Up, front_end,
};
use crate::alert::Region;
use crate::text::{bound, clean};

/// How long all that could not be asked is, in characters.
const MAX_ERROR: usize = 4_000;
/// How many things one reason names.
const NAMED: usize = 40;

/// What is known of the path itself.
#[derive(Clone, Copy, Debug)]
pub(in crate::diagnosis) struct Path<'a> {
    /// The alert's region.
    pub region: &'a Region,
    /// "Some readable box of some reading of the run was not `1:1`, or some finding of the run is `ingress-down`,
    /// `zone-unhealthy` or `konicle-fault`".
    pub was_ill: bool,
    /// Whether a box of the region was read at all.
    pub has_box: bool,
    /// The front ends of the reading that is shown.
    pub addresses: &'a [String],
}

/// What all looks come to. "The later answer counts, where there is none the earlier with its time."
pub(in crate::diagnosis) fn conclude(asked: &Asked, looks: &[Look], path: Path<'_>) -> (Client, ClientTimes) {
    let mut missing = Missing::default();
    let mut times = ClientTimes::default();
    let regions: Vec<ClientRegion> = (asked.regions.iter())
        .map(|region| {
            let of = |pick: fn(&super::RegionLook) -> &Answer| latest(looks, region, pick);
            let (se, public) = (of(|look| &look.se), of(|look| &look.public));
            missing.note(se, || format!("SE of {region}"));
            missing.note(public, || format!("public of {region}"));
            times.regions.push(RegionTimes { se: se.and_then(|a| a.at), public: public.and_then(|a| a.at) });
            let state = |answer: Option<&Answer>| answer.and_then(|answer| answer.state);
            ClientRegion { region: region.clone(), se: state(se), public: state(public) }
        })
        .collect();
    let mut front_ends = Vec::new();
    for address in path.addresses.iter().filter(|_| asked.front_ends) {
        let look = if front_end::is_within(address) { of_front_end(looks, address) } else { None };
        let result = look.map_or(Reached::Unknown, |look| look.result);
        match (result, look) {
            (Reached::Answers | Reached::Fails, Some(look)) => times.front_ends = times.front_ends.max(Some(look.at)),
            _ => missing.add(why_unknown(address, look), format!("front end {}", clean(address, 45))),
        }
        front_ends.push(FrontEnd { address: address.clone(), result });
    }
    let finding = finding(path, &regions, &front_ends);
    (Client { finding, error: missing.in_words(), regions, front_ends }, times)
}

/// "The finding, the first that holds".
fn finding(path: Path<'_>, regions: &[ClientRegion], front_ends: &[FrontEnd]) -> ClientFinding {
    let se = regions.iter().find(|r| r.region == *path.region).and_then(|r| r.se);
    if se == Some(Up::Up) {
        return ClientFinding::Over;
    }
    if path.was_ill {
        return ClientFinding::NotClient;
    }
    let Some(se) = se.filter(|_| path.has_box) else { return ClientFinding::Unknown };
    if se == Up::Absent || sees_nothing(regions) || all_answer(front_ends) {
        return ClientFinding::ClientBroken;
    }
    ClientFinding::FrontEndPath
}

/// "`se` and `public` of every region asked are not `up`, and there are two regions at least". What could not be asked does not
/// count, nor does a region of which nothing could be.
pub(in crate::diagnosis) fn sees_nothing(regions: &[ClientRegion]) -> bool {
    let asked: Vec<Vec<Up>> = (regions.iter())
        .map(|r| [r.se, r.public].into_iter().flatten().collect::<Vec<_>>())
        .filter(|answers| !answers.is_empty())
        .collect();
    asked.len() >= 2 && asked.iter().flatten().all(|answer| *answer != Up::Up)
}

/// "There is a front end within 166.8.0.0/14, and every one of them `answers`".
pub(in crate::diagnosis) fn all_answer(front_ends: &[FrontEnd]) -> bool {
    // "What could not be asked … does not count."
    let counts = |f: &&FrontEnd| front_end::is_within(&f.address) && f.result != Reached::Unknown;
    let mut within = front_ends.iter().filter(counts).peekable();
    within.peek().is_some() && within.all(|f| f.result == Reached::Answers)
}

/// The last answer that counts; where none does, the last one, which says why.
fn latest<'l>(looks: &'l [Look], region: &Region, pick: fn(&super::RegionLook) -> &Answer) -> Option<&'l Answer> {
    let answers = || {
        let of_region = looks.iter().rev().flat_map(|look| &look.regions).filter(|look| look.region == *region);
        of_region.map(pick)
    };
    answers().find(|answer| answer.state.is_some()).or_else(|| answers().next())
}

fn of_front_end<'l>(looks: &'l [Look], address: &str) -> Option<&'l FrontEndLook> {
    let all = || looks.iter().rev().flat_map(|look| &look.front_ends).filter(|look| look.address == address);
    all().find(|look| look.result != Reached::Unknown).or_else(|| all().next())
}

fn why_unknown(address: &str, look: Option<&FrontEndLook>) -> String {
    if !front_end::is_within(address) {
        return "it is not within 166.8.0.0/14, so it was not asked".into();
    }
    look.and_then(|look| look.why.clone()).unwrap_or_else(|| NOT_IN_TIME.into())
}

/// Why there is no answer of which nothing else is known.
const NOT_IN_TIME: &str = "it was not asked in time";

/// What could not be asked, by the reason.
#[derive(Default)]
struct Missing(Vec<(String, Vec<String>)>);

impl Missing {
    fn note(&mut self, answer: Option<&Answer>, what: impl FnOnce() -> String) {
        if answer.is_none_or(|answer| answer.state.is_none()) {
            let why = answer.and_then(|answer| answer.why.clone()).unwrap_or_else(|| NOT_IN_TIME.into());
            self.add(why, what());
        }
    }

    fn add(&mut self, why: String, what: String) {
        match self.0.iter_mut().find(|(known, _)| *known == why) {
            Some((_, all)) => all.push(what),
            None => self.0.push((why, vec![what])),
        }
    }

    fn in_words(self) -> Option<String> {
        let one = |(why, what): &(String, Vec<String>)| {
            let more = match what.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("{} ({}{more})", clean(why, 600).trim_end_matches('.'), what[..what.len().min(NAMED)].join(", "))
        };
        let all: Vec<String> = self.0.iter().map(one).collect();
        (!all.is_empty()).then(|| bound(&all.join("; "), MAX_ERROR))
    }
}

impl Client {
    /// The alert's region as it is seen.
    pub fn of(&self, region: &Region) -> Option<&ClientRegion> {
        self.regions.iter().find(|r| r.region == *region)
    }

    /// When the alert's region's test was last seen to say what it says.
    pub fn se_at(&self, times: &ClientTimes, region: &Region) -> Option<Timestamp> {
        let at = self.regions.iter().position(|r| r.region == *region)?;
        times.regions.get(at)?.se
    }
}
