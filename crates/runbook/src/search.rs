//! Searches every life of a small world, breadth first: each state that can be reached is held against what must always
//! hold, and from each the world is let be calm, where it must come to rest as promised. The first fault found has the
//! shortest trace.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many calm steps a life may take to its rest.
const CALM_STEPS: usize = 200;

/// A world that is searched.
pub(crate) trait World: Clone + Hash {
    /// All that may happen next, each with its name.
    fn steps(&self) -> Vec<(&'static str, Self)>;
    /// What is wrong, whatever comes next.
    fn broken(&self) -> Option<String>;
    /// Whether nothing is left to happen by itself.
    fn is_at_rest(&self) -> bool;
    /// What is wrong with a world at rest.
    fn broken_at_rest(&self) -> Option<String>;
    /// What happens next where nothing goes wrong any more.
    fn calm(&self) -> Self;
}

/// What a search has seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    pub(crate) depth: usize,
}

/// A fault, and how to come there.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) why: String,
    pub(crate) trace: Vec<&'static str>,
    /// After how many states it was found.
    pub(crate) states: usize,
}

/// By its fingerprint, where a state came from.
type Parents = HashMap<u64, (u64, &'static str)>;

/// Searches everything that can be reached from `start`.
///
/// # Errors
/// The first fault.
pub(crate) fn search<W: World>(start: W) -> Result<Seen, Fault> {
    search_nearest(start, usize::MAX)
}

/// The same, no further than to where `most` states are known: all that is nearer is searched whole.
///
/// # Errors
/// The first fault.
pub(crate) fn search_nearest<W: World>(start: W, most: usize) -> Result<Seen, Fault> {
    let mut parents: Parents = HashMap::from([(fingerprint(&start), (0, ""))]);
    let mut end_well = HashSet::new();
    let (mut steps, mut depth) = (0, 0);
    let mut now = vec![start];
    while !now.is_empty() && parents.len() < most {
        let mut next = Vec::new();
        for state in &now {
            let fault = |why: String| Fault { why, trace: trace(&parents, fingerprint(state)), states: parents.len() };
            if let Some(why) = state.broken() {
                return Err(fault(why));
            }
            ends_well(state, &mut end_well).map_err(fault)?;
            for (name, reached) in state.steps() {
                steps += 1;
                if let std::collections::hash_map::Entry::Vacant(place) = parents.entry(fingerprint(&reached)) {
                    place.insert((fingerprint(state), name));
                    next.push(reached);
                }
            }
        }
        depth += 1;
        now = next;
    }
    Ok(Seen { states: parents.len(), steps, depth })
}

/// Goes on from here in calm to the end, or to where it is known to end well.
fn ends_well<W: World>(state: &W, known: &mut HashSet<u64>) -> Result<(), String> {
    let mut way = Vec::new();
    let mut at = state.clone();
    while !known.contains(&fingerprint(&at)) {
        if way.len() > CALM_STEPS {
            return Err("it never comes to rest".to_owned());
        }
        way.push(fingerprint(&at));
        if let Some(why) = at.broken() {
            return Err(format!("in calm: {why}"));
        }
        if at.is_at_rest() {
            if let Some(why) = at.broken_at_rest() {
                return Err(format!("at rest: {why}"));
            }
            break;
        }
        at = at.calm();
    }
    known.extend(way);
    Ok(())
}

fn trace(parents: &Parents, mut at: u64) -> Vec<&'static str> {
    let mut names = Vec::new();
    while let Some((from, name)) = parents.get(&at).filter(|(_, name)| !name.is_empty()) {
        names.push(*name);
        at = *from;
    }
    names.reverse();
    names
}

fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}
