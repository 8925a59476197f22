//! Searches every life of a small world, breadth first: each state that can be reached is held against what must always
//! hold, and from each the world is let be calm, where it must come to rest as promised. The first fault found has the
//! shortest trace.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::io::Write;

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

/// What may happen next: its name, and what it does, which is not done yet.
pub(crate) type Way<'a, W> = (&'static str, Box<dyn FnOnce(&mut W) + 'a>);

/// A world in which one step can be taken without the others.
pub(crate) trait Walked: World {
    /// As [`World::steps`], of which none is taken yet.
    fn ways(&self) -> Vec<Way<'_, Self>>;
    /// Takes one.
    fn goes(&self, way: Way<'_, Self>) -> Self;
}

/// What a search has seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    pub(crate) depth: usize,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states, {} steps, {} deep", self.states, self.steps, self.depth)
    }
}

/// Lives to draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    /// The same seed draws the same lives.
    pub(crate) seed: u64,
    pub(crate) lives: usize,
    /// How many steps are drawn of each; from there it goes on in calm to its end.
    pub(crate) steps: usize,
}

/// What was drawn.
#[derive(Debug)]
pub(crate) struct Drawn {
    walk: Walk,
    steps: usize,
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lives, {} steps, SEARCH_SEED={}", self.walk.lives, self.steps, self.walk.seed)
    }
}

/// The seed that `SEARCH_SEED` names, or another each time.
pub(crate) fn drawn_seed() -> u64 {
    let asked = std::env::var_os("SEARCH_SEED")
        .map(|seed| seed.to_str().and_then(|seed| seed.parse().ok()).expect("SEARCH_SEED is a number"));
    asked.unwrap_or_else(|| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), "a seed"))
}

/// Draws lives, one step after the other, and holds each state against what must always hold; each is let come to rest.
///
/// # Errors
/// The first fault.
pub(crate) fn walk<W: Walked>(start: &W, walk: Walk) -> Result<Drawn, Fault> {
    let mut random = Random(walk.seed);
    let mut steps = 0;
    for life in 1..=walk.lives {
        let (mut at, mut trace) = (start.clone(), Vec::new());
        let fault = |why, trace: &[_]| Fault { why, trace: trace.to_vec(), states: life };
        for _ in 0..walk.steps {
            let mut ways = at.ways();
            if ways.is_empty() {
                break;
            }
            let way = ways.swap_remove(random.below(ways.len()));
            trace.push(way.0);
            let next = at.goes(way);
            drop(ways);
            (at, steps) = (next, steps + 1);
            if let Some(why) = at.broken() {
                return Err(fault(why, &trace));
            }
        }
        ends_well(&at, &mut HashSet::default()).map_err(|why| fault(why, &trace))?;
    }
    Ok(Drawn { walk, steps })
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % n as u64) as usize
    }
}

/// Says what was searched or drawn, on standard output and, so that whoever runs all tests sees it, in the file that `SEARCH_LOG` names.
pub(crate) fn say(what: &str, seen: &impl fmt::Display) {
    let line = format!("{what}: {seen}\n");
    print!("{line}");
    let log = std::env::var_os("SEARCH_LOG").map(|path| File::options().append(true).create(true).open(path));
    if let Some(log) = log {
        // In one piece: others write too.
        log.and_then(|mut log| log.write_all(line.as_bytes())).expect("SEARCH_LOG can be written");
    }
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
type Parents = HashMap<u64, (u64, &'static str), AsItIs>;

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
    let mut parents: Parents = HashMap::from_iter([(fingerprint(&start), (0, ""))]);
    let mut end_well = HashSet::default();
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
fn ends_well<W: World>(state: &W, known: &mut HashSet<u64, AsItIs>) -> Result<(), String> {
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
    let mut hasher = Mixer::default();
    state.hash(&mut hasher);
    hasher.finish()
}

/// A fingerprint is spread enough to be found by itself.
type AsItIs = BuildHasherDefault<Same>;

#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = (self.0 << 8) | u64::from(*byte));
    }

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Mixes as wyhash does: the standard library's is made against those who look for collisions, at the price of time.
struct Mixer(u64);

impl Default for Mixer {
    fn default() -> Self {
        Self(0x2d35_8dcc_aa6c_78a5)
    }
}

impl Mixer {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ 0x8bb8_4b93_962e_acc9) * u128::from(word ^ 0x4b33_a62e_d433_d4a3);
        self.0 = self.0.rotate_left(29) ^ (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
        self.mix(bytes.len() as u64);
    }

    fn write_u8(&mut self, n: u8) {
        self.mix(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.mix(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.mix(n);
    }

    fn write_usize(&mut self, n: usize) {
        self.mix(n as u64);
    }

    fn finish(&self) -> u64 {
        let mut last = Self(self.0);
        last.mix(self.0.rotate_left(32));
        last.0
    }
}
