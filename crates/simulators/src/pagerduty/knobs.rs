//! What a test turns: how slow and how strict an account is, what goes wrong, what changes while somebody reads.

use std::time::Duration;

use jiff::SignedDuration;

use super::faults::Planned;
use super::moving::Moving;
use super::{Change, Endpoint, Fault, PagerDuty, ServiceSetup, User};

impl PagerDuty {
    /// Sets by how much lists lag behind writes.
    pub fn set_lag(&self, lag: Duration) {
        self.account().lag = lag;
    }

    /// Sets how long each request is on its way.
    pub fn set_latency(&self, latency: Duration) {
        self.account().latency = latency;
    }

    /// Sets how many requests a minute are answered.
    pub fn set_rate_limit(&self, a_minute: u32) {
        self.account().rate_limit = a_minute;
    }

    /// Sets how long after an event its incident is there.
    pub fn set_event_delay(&self, delay: Duration) {
        self.account().event_delay = delay;
    }

    /// The next `times` events are taken with a 202, and come to nothing.
    pub fn lose_events(&self, times: u32) {
        self.account().events_to_lose = times;
    }

    /// Incidents of the Events API have no key of their own from now on, only their alerts.
    pub fn set_keyless_events(&self) {
        self.account().keyless_events = true;
    }

    /// Sets how many events a minute are taken (120 unless said), by its own count.
    pub fn set_events_limit(&self, a_minute: u32) {
        self.account().events_limit = a_minute;
    }

    /// Sets a service's status: `active`, `maintenance`, `disabled`.
    pub fn set_service_status(&self, id: &str, status: &str) {
        if let Some(service) = self.account().services.iter_mut().find(|s| s.id == id) {
            service.status = status.to_owned();
        }
    }

    /// Sets who a service's incidents are assigned to.
    pub fn set_on_call(&self, id: &str, user_id: Option<&str>) {
        if let Some(service) = self.account().services.iter_mut().find(|s| s.id == id) {
            service.on_call = user_id.map(str::to_owned);
        }
    }

    /// A service has no escalation policy any more.
    pub fn remove_policy(&self, service_id: &str) {
        self.account().without_policy.push(service_id.to_owned());
    }

    /// A service has the escalation policy of another.
    pub fn share_policy(&self, service_id: &str, with: &str) {
        self.account().shared_policies.push((service_id.to_owned(), with.to_owned()));
    }

    /// A service is a team's.
    pub fn add_team(&self, service_id: &str, team_id: &str) {
        self.account().teams.push((service_id.to_owned(), team_id.to_owned()));
    }

    /// No service is any team's.
    pub fn clear_teams(&self) {
        self.account().teams.clear();
    }

    /// The user with this address is gone.
    pub fn remove_user(&self, email: &str) {
        self.account().users.retain(|user| user.email != email);
    }

    /// A user joins the account.
    pub fn add_user(&self, user: User) {
        self.account().users.push(user);
    }

    /// Sets how far its own clock is ahead, as the `Date` of its answers shows it.
    pub fn set_skew(&self, ahead: SignedDuration) {
        self.account().skew = ahead;
    }

    /// Adds a service.
    pub fn add_service(&self, service: ServiceSetup) {
        self.account().services.push(service);
    }

    /// The next `times` requests to `endpoint` go wrong, and are not carried out.
    pub fn fail(&self, endpoint: Endpoint, fault: Fault, times: u32) {
        self.plan(endpoint, fault, times, false, &[]);
    }

    /// The next `times` requests to `endpoint` are carried out, and then their answers go wrong.
    pub fn fail_once_done(&self, endpoint: Endpoint, fault: Fault, times: u32) {
        self.plan(endpoint, fault, times, true, &[]);
    }

    /// Requests to `endpoint` in which all these texts stand are never answered; whether they are carried out first.
    pub fn hang(&self, endpoint: Endpoint, about: &[&str], done_first: bool) {
        self.plan(endpoint, Fault::Hang, u32::MAX, done_first, about);
    }

    /// Requests to `endpoint` in which all these texts stand are refused with this status.
    pub fn refuse(&self, endpoint: Endpoint, about: &[&str], status: u16) {
        self.plan(endpoint, Fault::Status(status), u32::MAX, false, about);
    }

    fn plan(&self, endpoint: Endpoint, fault: Fault, times: u32, done_first: bool, about: &[&str]) {
        if times > 0 {
            let about = about.iter().map(|text| (*text).to_owned()).collect();
            self.account().planned.push(Planned { endpoint, fault, done_first, about, times });
        }
    }

    /// How many requests are still to go wrong.
    pub fn faults_to_come(&self) -> u32 {
        self.account().planned.iter().fold(0, |sum, planned| planned.times.saturating_add(sum))
    }

    /// Nothing goes wrong any more.
    pub fn mend(&self) {
        self.account().planned.clear();
    }

    /// Forgets the planned faults of one endpoint.
    pub fn mend_only(&self, endpoint: Endpoint) {
        self.account().planned.retain(|planned| planned.endpoint != endpoint);
    }

    /// After every so many requests for incidents one of these happens, in order.
    pub fn change_while_listed(&self, every: u32, changes: impl IntoIterator<Item = Change>) {
        self.change_while_listed_by(every, 1, changes);
    }

    /// The same, so many of them at once.
    pub fn change_while_listed_by(&self, every: u32, at_once: usize, changes: impl IntoIterator<Item = Change>) {
        self.account().moving = Moving::new(every, at_once, changes);
    }

    /// How many of these changes are still to come.
    pub fn changes_to_come(&self) -> usize {
        self.account().moving.left()
    }

    /// From now on `text` is written as `bytes` wherever it stands in an answer.
    pub fn spell(&self, text: &str, bytes: &[u8]) {
        self.account().spelling.set(text, bytes);
    }
}
