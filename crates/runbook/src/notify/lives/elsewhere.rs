//! Who tells (`src/run/notify.rs`), its rows, and the other side.

use std::time::Duration;

use jiff::Timestamp;

use super::{ALL, Budget, Elsewhere, Heard, INCIDENTS, PAGES, Planted, Row, Sending, Sent, There, Ways, now, way};
use crate::notify::told::{Edit, Step, TIMES, Told};
use crate::notify::{
    AlertRecord, Announcement, Decision, Digest, Known, Message, Page, PageRecord, Place, ROOT, decide, of_alert,
    of_page,
};
use crate::span::{after, before, between};
use crate::writes::Outcome;

/// How long a 429 says to wait.
const LIMITED: Duration = Duration::from_secs(30);
/// What lies further back makes no difference.
const LONG_AGO: Duration = Duration::from_secs(120);

/// What becomes of a request.
#[derive(Clone, Copy)]
enum Fate {
    Taken,
    Not,
    Late,
}

const FATES: [(Fate, &str); 3] =
    [(Fate::Taken, "its answer is lost"), (Fate::Not, "it is lost"), (Fate::Late, "it is late")];

impl Elsewhere {
    pub(crate) fn new(planted: Planted, may: Budget) -> Self {
        let (stands, late, rows) = (Vec::new(), Vec::new(), Vec::new());
        Self { planted, may, stands, late, rows, on_the_way: [const { None }; 4], refused: Vec::new(), wrong: None }
    }

    /// What is wrong, whatever comes next.
    pub(crate) fn broken(&self) -> Option<&'static str> {
        let is_same =
            |a: &There, b: &There| (a.place, &a.alert, &a.kind, &a.page_id) == (b.place, &b.alert, &b.kind, &b.page_id);
        for (n, there) in self.stands.iter().enumerate() {
            let mut others = self.stands[n + 1..].iter();
            if others.any(|other| is_same(there, other)) {
                return Some("a message stands twice");
            }
            // As a reply, or as what a root message was begun with.
            let says = |other: &&There| other.kind == there.kind || other.opened_with.as_ref() == Some(&there.kind);
            if there.place == Place::SlackRegistry && there.kind != ROOT && self.stands.iter().filter(says).count() > 1
            {
                return Some("what was said is told twice");
            }
        }
        self.wrong
    }

    /// Whether nothing is left to be told.
    pub(crate) fn is_at_rest(&self, heard: &Heard) -> bool {
        self.late.is_empty()
            && (0..4).all(|item| {
                self.on_the_way[item].is_none()
                    && self.next(item, heard).is_none_or(|(_, decision)| decision == Decision::default())
            })
    }

    /// What is wrong where nothing is left to be told.
    pub(crate) fn broken_at_rest(&self, heard: &Heard) -> Option<String> {
        for item in 0..4 {
            for (message, known) in self.wanted(item, heard) {
                let there = self.stands.iter().find(|there| is_of(there, &message));
                let text = there.map(|there| &there.text);
                let is_given_up = (known.told.ended || known.told.edit == Edit::GivenUp) && self.is_refused(&message);
                if text.is_none_or(|text| message.is_edited && *text != message.text) && !is_given_up {
                    return Some(format!("{} is told as {text:?}", message.key()));
                }
            }
        }
        for tale in heard.alerts.iter().flatten() {
            for said in &tale.said {
                let is_told =
                    self.stands.iter().any(|there| there.kind == *said || there.opened_with.as_ref() == Some(said));
                let is_ended = |n: &usize| self.rows[*n].known.kind == *said || self.rows[*n].known.kind == ROOT;
                if !is_told && !self.refused.iter().any(is_ended) {
                    return Some(format!("{said} is not told"));
                }
            }
        }
        None
    }

    /// Whether the other side has refused it, or the root of its thread, for good.
    fn is_refused(&self, message: &Message) -> bool {
        self.refused.iter().map(|n| &self.rows[*n]).any(|row| {
            is_row_of(row, message) || (message.is_reply && row.known.kind == ROOT && row.known.alert == message.alert)
        })
    }

    /// Whether something is on its way: that takes no time in which anything else could pass.
    pub(crate) fn is_busy(&self) -> bool {
        self.on_the_way.iter().any(Option::is_some)
    }

    /// All that may happen next, but for time.
    pub(crate) fn ways(&self, heard: &Heard) -> Ways<'_> {
        let mut ways = Ways::new();
        for item in 0..self.on_the_way.len() {
            match &self.on_the_way[item] {
                Some(sending) => ways.extend(self.comes_of(item, sending)),
                None => ways.extend(self.goes_on(item, heard)),
            }
        }
        for n in 0..self.late.len() {
            ways.push(way("a late message is taken", move |next| {
                let (_, sent) = next.late.remove(n);
                next.take(sent);
            }));
            ways.push(way("a late message is never taken", move |next| drop(next.late.remove(n))));
        }
        if self.may.crashes > 0 && self.on_the_way.iter().any(Option::is_some) {
            for (fate, name) in FATES {
                ways.push(way(name, move |next| {
                    next.may.crashes -= 1;
                    next.killed(fate);
                }));
            }
        }
        ways
    }

    /// The process died: nothing of what was on its way is recorded.
    fn killed(&mut self, fate: Fate) {
        for item in 0..self.on_the_way.len() {
            if let Some(sending) = self.on_the_way[item].take() {
                self.meets(sending.sent, fate);
            }
        }
    }

    /// The process died, as part of a greater world: what was on its way was taken.
    pub(crate) fn dies(&mut self) {
        self.killed(Fate::Taken);
    }

    /// Who told of this alert has lost it: what was on its way may be taken yet.
    pub(crate) fn merged(&mut self, slot: usize) {
        if let Some(sending) = self.on_the_way[slot].take() {
            self.meets(sending.sent, Fate::Late);
        }
    }

    fn take(&mut self, sent: Sent) {
        match sent {
            Sent::Post(there) => self.stands.push(there),
            Sent::Edit(n, text) => self.stands[n].text = text,
        }
    }

    fn meets(&mut self, sent: Sent, fate: Fate) {
        match fate {
            Fate::Taken => self.take(sent),
            Fate::Not => {}
            // Sooner than a look that counts.
            Fate::Late => self.late.push((after(now(), TIMES.read_lag - Duration::from_secs(1)), sent)),
        }
    }

    /// What may come of a request.
    fn comes_of(&self, item: usize, sending: &Sending) -> Ways<'_> {
        let answer = move |fate, outcome: Outcome, asked| {
            move |next: &mut Self| {
                let Some(Sending { row, attempt, sent }) = next.on_the_way[item].take() else { return };
                let is_post = matches!(sent, Sent::Post(_));
                let place = next.stands.len();
                next.meets(sent, fate);
                let told = &mut next.rows[row].known.told;
                let outcome =
                    if outcome == Outcome::Done(String::new()) { Outcome::Done(place.to_string()) } else { outcome };
                match is_post {
                    true => told.ended(attempt, &outcome, now(), asked),
                    false => told.edited(&outcome, now(), asked),
                }
            }
        };
        let is_post = matches!(sending.sent, Sent::Post(_));
        let done = Outcome::Done(String::new());
        let name = if is_post { "a message is posted" } else { "a message is edited" };
        let mut ways: Ways<'_> = vec![way(name, answer(Fate::Taken, done, None))];
        if self.may.lost > 0 {
            for (fate, name) in FATES {
                let lost = answer(fate, Outcome::Ambiguous(String::new()), None);
                ways.push(way(name, move |next| {
                    next.may.lost -= 1;
                    lost(next);
                }));
            }
        }
        if self.may.limits > 0 {
            let is_taken_for_refusal = self.planted == Planted::LimitEnds;
            let outcome = if is_taken_for_refusal { Outcome::Refused } else { Outcome::NotSent };
            let limited = answer(Fate::Not, outcome(String::new()), Some(LIMITED));
            ways.push(way("429", move |next| {
                next.may.limits -= 1;
                limited(next);
            }));
        }
        if self.may.refusals > 0 {
            let refused = answer(Fate::Not, Outcome::Refused(String::new()), None);
            ways.push(way("ok:false", move |next| {
                next.may.refusals -= 1;
                next.refused.extend(next.on_the_way[item].as_ref().map(|sending| sending.row));
                refused(next);
            }));
        }
        ways
    }

    /// What is done next of an alert or a page.
    fn goes_on(&self, item: usize, heard: &Heard) -> Ways<'_> {
        let Some((wanted, Decision { act: Some((n, step)), .. })) = self.next(item, heard) else { return Ways::new() };
        let may_fail = step == Step::Look && self.may.limits > 0;
        // What a root message is begun with.
        let opener = heard.alerts.get(item).and_then(|tale| tale.as_ref()?.said.first().cloned());
        let name = match step {
            Step::Look => "looks for a message",
            Step::GiveUp => "a message is given up",
            _ => "is about to send a message",
        };
        let mut ways: Ways<'_> = Ways::new();
        if may_fail {
            let wanted = wanted.clone();
            ways.push(way("429, looking", move |next| {
                next.may.limits -= 1;
                let row = next.keep(&wanted, n);
                next.rows[row].known.told.failed(now(), Some(LIMITED));
            }));
        }
        ways.insert(0, way(name, move |next| next.does(&wanted, (n, step), item, opener)));
        ways
    }

    /// What has to be told, with what is known of it by whoever takes it up; and what is done next.
    fn next(&self, item: usize, heard: &Heard) -> Option<(Vec<(Message, Known)>, Decision)> {
        let mut wanted = self.wanted(item, heard);
        for (_, known) in &mut wanted {
            if self.planted == Planted::CrashForgotten {
                known.told.write.intent = None;
            }
            known.told.take_over(now());
            if self.planted == Planted::SentBlindly {
                known.told.write.doubt = None;
            }
            if let (Planted::EditedInDoubt, Edit::Doubt(_)) = (self.planted, known.told.edit) {
                known.told.edit = Edit::Due;
            }
        }
        let decision = decide(&wanted, now());
        (!wanted.is_empty()).then_some((wanted, decision))
    }

    /// What has to be told of an alert or a page, in order, with its rows.
    fn wanted(&self, item: usize, heard: &Heard) -> Vec<(Message, Known)> {
        let (messages, opened_with) = match item {
            0 | 1 => {
                let Some(record) = record_of(item, heard) else { return Vec::new() };
                let of_it = |row: &&Row| row.page_id.is_none() && heard.names[place(&row.known.alert)] == Some(item);
                let known: Vec<Known> = self.rows.iter().filter(of_it).map(|row| row.known.clone()).collect();
                let first = record.announcements.first().map(|first| first.key.clone());
                (of_alert(&record, &known, ALL), first)
            }
            _ => {
                let Some(record) = page_of(item - 2, heard) else { return Vec::new() };
                let of_it = |row: &&Row| row.page_id.as_ref() == Some(&record.page_id);
                let known: Vec<Known> = self.rows.iter().filter(of_it).map(|row| row.known.clone()).collect();
                (of_page(&record, &known, ALL).into_iter().collect(), None)
            }
        };
        let with = |message: Message| {
            let row = self.rows.iter().find(|row| is_row_of(row, &message)).map(|row| row.known.clone());
            let opened_with =
                opened_with.clone().filter(|_| message.kind == ROOT && self.planted != Planted::OpenerForgotten);
            let known = row.unwrap_or_else(|| Known {
                place: message.place,
                alert: message.alert.clone(),
                kind: message.kind.clone(),
                since: now(),
                told: Told { opened_with, ..Told::default() },
            });
            (message, known)
        };
        messages.into_iter().map(with).collect()
    }

    /// Keeps the rows of what is wanted; gives the place of the n-th.
    fn keep(&mut self, wanted: &[(Message, Known)], n: usize) -> usize {
        for (message, known) in wanted {
            match self.rows.iter_mut().find(|row| is_row_of(row, message)) {
                Some(row) => row.known = known.clone(),
                None => self.rows.push(Row { known: known.clone(), page_id: message.page_id.clone() }),
            }
        }
        self.rows.iter().position(|row| is_row_of(row, &wanted[n].0)).unwrap_or_default()
    }

    fn does(&mut self, wanted: &[(Message, Known)], (n, step): (usize, Step), item: usize, opener: Option<String>) {
        let row = self.keep(wanted, n);
        let message = &wanted[n].0;
        let stands = self.stands.iter().position(|there| is_of(there, message)).map(|n| n.to_string());
        let is_root = |row: &&Row| row.known.kind == ROOT && row.known.alert == message.alert;
        let has_thread = self.rows.iter().filter(is_root).any(|root| root.known.told.write.id.is_some());
        let told = &mut self.rows[row].known.told;
        match step {
            Step::Nothing | Step::Wait(_) => {}
            Step::Look | Step::Post if message.is_reply && !has_thread => told.give_up(&message.text),
            Step::Look => told.looked(stands.as_deref(), now()),
            // Of issues ours are listed first, always.
            Step::Post if message.place == Place::Ghe && stands.is_some() => told.looked(stands.as_deref(), now()),
            Step::Post => {
                let Ok(attempt) = told.begin(&message.text, told.write.attempt, now()) else {
                    self.wrong = Some("it was to be sent, and may not");
                    return;
                };
                let sent = Sent::Post(There {
                    place: message.place,
                    alert: message.alert.clone(),
                    kind: message.kind.clone(),
                    page_id: message.page_id.clone(),
                    text: message.text.clone(),
                    opened_with: told.opened_with.clone().or(opener).filter(|_| message.kind == ROOT),
                });
                self.on_the_way[item] = Some(Sending { row, attempt, sent });
            }
            Step::Edit => {
                let Some(n) = told.write.id.as_ref().and_then(|id| id.parse().ok()) else { return };
                told.begin_edit(&message.text, now());
                self.on_the_way[item] = Some(Sending { row, attempt: 0, sent: Sent::Edit(n, message.text.clone()) });
            }
            Step::GiveUp => told.give_up(&message.text),
        }
    }

    /// When there is more to do, or something on its way was taken or never will be.
    pub(crate) fn wakes_in(&self, heard: &Heard) -> Option<Duration> {
        let wakes = (0..4).filter_map(|item| self.next(item, heard)?.1.wake);
        let late = self.late.iter().map(|(by, _)| *by);
        wakes.chain(late).min().map(|at| between(now(), at).max(Duration::from_secs(1)))
    }

    /// So long passes.
    pub(crate) fn pass(&mut self, by: Duration) {
        while let Some(n) = self.late.iter().position(|(until, _)| between(now(), *until) <= by) {
            let (_, sent) = self.late.remove(n);
            self.take(sent);
        }
        let (oldest, back) = (before(now(), LONG_AGO), |at: Timestamp| before(at, by));
        let old = |at: Timestamp| back(at).max(oldest);
        self.late.iter_mut().for_each(|(until, _)| *until = back(*until));
        for Row { known, .. } in &mut self.rows {
            let Known { since, told, .. } = known;
            *since = old(*since);
            told.edit_since = told.edit_since.map(old);
            told.rests_until = told.rests_until.map(back).filter(|until| *until > now());
            told.edit = match told.edit {
                Edit::Open(at) => Edit::Open(old(at)),
                Edit::Doubt(until) => Edit::Doubt(back(until).max(now())),
                edit => edit,
            };
            told.write.intent = told.write.intent.map(old);
            if let Some(doubt) = &mut told.write.doubt {
                doubt.since.ours = old(doubt.since.ours);
                doubt.looked.iter_mut().for_each(|looked| looked.ours = old(looked.ours));
            }
        }
    }
}

fn place(incident: &str) -> usize {
    usize::from(incident == INCIDENTS[1])
}

fn is_of(there: &There, message: &Message) -> bool {
    (there.place, &there.alert, &there.kind, &there.page_id)
        == (message.place, &message.alert, &message.kind, &message.page_id)
}

fn is_row_of(row: &Row, message: &Message) -> bool {
    let Row { known, page_id } = row;
    (known.place, &known.alert, &known.kind, page_id)
        == (message.place, &message.alert, &message.kind, &message.page_id)
}

fn record_of(slot: usize, heard: &Heard) -> Option<AlertRecord> {
    let tale = heard.alerts[slot].as_ref()?;
    let announcement = |key: &String| {
        let digest = Digest { head: key.clone(), why: None };
        Announcement { key: key.clone(), digest, view: String::new() }
    };
    let pages = || heard.pages.iter().enumerate();
    let is_its = |incidents: &Vec<usize>| incidents.iter().any(|incident| heard.names[*incident] == Some(slot));
    let page = pages().find(|(_, incidents)| is_its(incidents));
    Some(AlertRecord {
        incident_id: INCIDENTS[tale.incident].to_owned(),
        region: "prod-us-south".parse().ok()?,
        announcements: tale.said.iter().map(announcement).collect(),
        note: (tale.edits > 0).then(|| Digest { head: format!("edited {}", tale.edits), why: None }),
        view: String::new(),
        page: page.map(|(n, _)| Page {
            url: format!("https://example.pagerduty.com/incidents/{}", PAGES[n]),
            acknowledged_by: None,
        }),
        resolved_at: tale.is_over.then(now),
        issue: tale.is_over.then(|| ("What happened".to_owned(), String::new())),
    })
}

fn page_of(n: usize, heard: &Heard) -> Option<PageRecord> {
    let incidents = heard.pages[n].as_slice();
    (!incidents.is_empty()).then(|| PageRecord {
        page_id: PAGES[n].to_owned(),
        url: String::new(),
        alerts: incidents.iter().map(|incident| INCIDENTS[*incident].to_owned()).collect(),
        region: "prod-us-south".parse().unwrap(),
        diagnosis: None,
    })
}
