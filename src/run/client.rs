//! The client of the end-to-end test is asked: Prometheus for each region's tests, and the healthcheck cluster's exporter for
//! front ends. Only reads. What it says means is `runbook::diagnosis::client`'s.
//!
//! Many alerts at once put each query once ([`Shared`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use jiff::Timestamp;

use crate::config::{ClientSettings, Healthcheck, Regions};
use clusters::{ClusterSettings, ask_front_ends};
use outbound::clock::Clock;
use outbound::error::Error;
use outbound::shared::Shared;
use prometheus::{Prometheus, PrometheusSettings};
use runbook::alert::Region;
use runbook::diagnosis::client::sample::{self, late};
use runbook::diagnosis::client::{Answer, Asked, FrontEndLook, Look, RegionLook};
use runbook::span::{after, between};

/// Who asks a query shares its answer with all who ask it then.
type Queries = HashMap<String, Arc<Shared<Answer>>>;

/// Asks the client.
#[derive(Debug)]
pub struct ClientAsker {
    healthcheck: Healthcheck,
    prometheus: Prometheus,
    /// By which its exporter is reached; `None`: no cluster is asked.
    cluster: Option<ClusterSettings>,
    /// The regions of the regions file.
    regions: Vec<Region>,
    /// `CLIENT_CHECK_TIMEOUT`.
    timeout: Duration,
    clock: Clock,
    queries: Mutex<Queries>,
}

/// Which of a region's tests.
#[derive(Clone, Copy, Debug)]
enum Test {
    Se,
    Public,
}

/// What has come so far.
#[derive(Debug, Default)]
struct SoFar {
    regions: Vec<(Option<Answer>, Option<Answer>)>,
    front_ends: Vec<FrontEndLook>,
}

impl ClientAsker {
    /// Who asks the client of this regions file; `None` where it has no `[healthcheck]`. Asks nothing yet.
    ///
    /// # Errors
    /// The client of Prometheus can't be set up.
    pub fn new(
        regions: &Regions,
        settings: &ClientSettings,
        cluster: Option<&ClusterSettings>,
        clock: Clock,
    ) -> Result<Option<Self>, Error> {
        let Some(healthcheck) = regions.healthcheck.clone() else { return Ok(None) };
        let reached = PrometheusSettings { url: healthcheck.prometheus_url.clone(), token: settings.token.clone() };
        Ok(Some(Self {
            prometheus: Prometheus::new(reached, clock.clone())?,
            healthcheck,
            cluster: cluster.cloned(),
            regions: regions.all().iter().map(|entry| entry.region.clone()).collect(),
            timeout: settings.timeout,
            clock,
            queries: Mutex::default(),
        }))
    }

    /// What is asked for an alert of this region.
    pub fn asked(&self, region: &Region) -> Asked {
        let front_ends = self.cluster.is_some() && self.healthcheck.exporter.is_some();
        Asked::about(region, self.regions.iter().cloned(), front_ends)
    }

    /// One look, for an alert of this region with these front ends: over after `CLIENT_CHECK_TIMEOUT` at the latest, or after
    /// `at_most`, or once `time_is_up`; what has been answered by then is in it. Who is asked is told of the first two: an exporter
    /// comes to its own end by then.
    pub async fn look(
        &self,
        region: &Region,
        addresses: &[String],
        at_most: Duration,
        time_is_up: impl Future<Output = ()>,
    ) -> Look {
        let asked = self.asked(region);
        let (began, length) = (self.clock.now(), self.timeout.min(at_most));
        let deadline = after(began, length);
        let so_far = Mutex::new(SoFar { regions: vec![(None, None); asked.regions.len()], ..SoFar::default() });
        let asking = async {
            tokio::join!(
                self.ask_regions(region, &asked.regions, &so_far),
                self.ask_front_ends(addresses, &so_far, deadline)
            );
        };
        tokio::select! {
            biased;
            () = asking => {}
            () = self.clock.sleep(length) => {}
            () = time_is_up => {}
        }
        let SoFar { regions, mut front_ends } = so_far.into_inner().unwrap_or_else(PoisonError::into_inner);
        let took = between(began, self.clock.now());
        let given = |answer: Option<Answer>| answer.unwrap_or_else(|| Answer::not_asked(late(rounded(took))));
        let regions = asked.regions.into_iter().zip(regions);
        let regions =
            regions.map(|(region, (se, public))| RegionLook { region, se: given(se), public: given(public) }).collect();
        front_ends.sort_by(|a, b| a.address.cmp(&b.address));
        Look { regions, front_ends }
    }

    async fn ask_regions(&self, own: &Region, regions: &[Region], so_far: &Mutex<SoFar>) {
        let mut questions = Vec::new();
        // The alert's own first: without it nothing is known.
        let mut in_order: Vec<(usize, &Region)> = regions.iter().enumerate().collect();
        in_order.sort_by_key(|(_, region)| *region != own);
        for (n, region) in in_order {
            for test in [Test::Se, Test::Public] {
                questions.push(self.keep(n, region, test, so_far).boxed());
            }
        }
        join_all(questions).await;
    }

    async fn keep(&self, n: usize, region: &Region, test: Test, so_far: &Mutex<SoFar>) {
        let answer = self.answer(region, test).await;
        let mut so_far = lock(so_far);
        match test {
            Test::Se => so_far.regions[n].0 = Some(answer),
            Test::Public => so_far.regions[n].1 = Some(answer),
        }
    }

    /// "Each address once"; which may be asked at all is the exporter's client's matter.
    async fn ask_front_ends(&self, addresses: &[String], so_far: &Mutex<SoFar>, deadline: Timestamp) {
        let (Some(cluster), Some(exporter)) = (&self.cluster, &self.healthcheck.exporter) else { return };
        let answered = |look: FrontEndLook| lock(so_far).front_ends.push(look);
        ask_front_ends(cluster, exporter, addresses, &self.clock, deadline, answered).await;
    }

    /// What one query comes to; its question is put once for all that ask at a time.
    async fn answer(&self, region: &Region, test: Test) -> Answer {
        let query = match test {
            Test::Se => self.healthcheck.query_se(region),
            Test::Public => self.healthcheck.query_public(region),
        };
        let shared = Arc::clone(lock(&self.queries).entry(query.clone()).or_default());
        // Others may take the answer who have longer: who puts the question gives it all the time there is, and leaves it to the next
        // who waits where its own is over.
        let answer = shared.ask(|| self.put(&query, after(self.clock.now(), self.timeout))).await;
        // Regions that only an alert's title names would be kept for good.
        let mut queries = lock(&self.queries);
        if Arc::strong_count(&shared) == 2 {
            queries.remove(&query);
        }
        answer
    }

    async fn put(&self, query: &str, deadline: Timestamp) -> Answer {
        let stamps = format!("timestamp({query})");
        let asked = tokio::join!(self.prometheus.query(query, deadline), self.prometheus.query(&stamps, deadline));
        match asked {
            (Ok(answer), Ok(stamps)) => sample::read(&answer, &stamps, self.healthcheck.max_age),
            (Err(error), _) | (_, Err(error)) => Answer::not_asked(self.in_words(&error)),
        }
    }

    /// The same words for all queries that fail the same way.
    fn in_words(&self, error: &Error) -> String {
        let advice = error.advice.map(|advice| format!(" ({advice})")).unwrap_or_default();
        format!("Prometheus, {}: {}{advice}", self.prometheus.url(), error.got)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// To tenths of a second: a reason that differs by a millisecond would be another.
fn rounded(took: Duration) -> Duration {
    Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX) / 100 * 100)
}

#[cfg(test)]
#[cfg(feature = "sim")]
mod tests {
    use outbound::clock::SystemClock;
    use runbook::diagnosis::client::Up;
    use simulators::prometheus::{Fault, Prometheus as Simulated};
    use simulators::tap::Tap;

    use super::*;

    async fn asker(simulated: &Simulated) -> ClientAsker {
        let text = format!(
            "[[regions]]\nname = \"prod-eu-de\"\n[[regions.zones]]\ncluster = \"registry-prod-eu-de-az1\"\n[healthcheck]\n\
             prometheus_url = {:?}\nquery_se = 'probe_success{{job=\"se\",region=\"{{region}}\"}}'\n\
             query_public = 'probe_success{{job=\"public\",region=\"{{region}}\"}}'\n",
            simulated.url()
        );
        let regions = Regions::parse(&text).unwrap();
        let token = Some(simulated.token().as_str().into());
        let settings = ClientSettings { timeout: Duration::from_secs(10), token };
        ClientAsker::new(&regions, &settings, None, SystemClock::shared()).unwrap().unwrap()
    }

    #[tokio::test]
    async fn many_who_ask_at_once_put_each_query_once_more_and_no_oftener() {
        let simulated = Simulated::start(SystemClock::shared(), Tap::default()).await.unwrap();
        simulated.tests("prod-us-south", Some("0"), Some("1"));
        let asker = asker(&simulated).await;
        let region: Region = "prod-us-south".parse().unwrap();
        simulated.fault(Some(Fault::Slow(Duration::from_millis(300))));
        let looks = join_all((0..30).map(|_| asker.look(&region, &[], Duration::MAX, std::future::pending()))).await;
        for look in looks {
            let names: Vec<_> =
                look.regions.iter().map(|r| (r.region.to_string(), r.se.state, r.public.state)).collect();
            let expected = [
                ("prod-eu-de".to_owned(), Some(Up::Absent), Some(Up::Absent)),
                ("prod-us-south".to_owned(), Some(Up::Down), Some(Up::Up)),
            ];
            assert_eq!(names, expected, "the alert's region is asked for too");
        }
        // Two regions, two tests, each with its timestamp(); once for the first who asked, once for all others.
        assert!(simulated.requests().len() <= 16, "{}", simulated.requests().len());
        assert!(lock(&asker.queries).is_empty(), "nothing is kept that serves nobody");
    }

    #[tokio::test]
    async fn what_was_answered_by_the_end_is_kept() {
        let simulated = Simulated::start(SystemClock::shared(), Tap::default()).await.unwrap();
        let asker = asker(&simulated).await;
        simulated.fault(Some(Fault::Silent));
        let region: Region = "prod-us-south".parse().unwrap();
        let look =
            asker.look(&region, &[], Duration::MAX, SystemClock::shared().sleep(Duration::from_millis(200))).await;
        let whys: Vec<_> = look.regions.iter().filter_map(|region| region.se.why.as_deref()).collect();
        assert_eq!(whys.len(), 2);
        assert!(whys.iter().all(|why| why.starts_with("Prometheus did not answer within ")), "{whys:?}");
    }
}
