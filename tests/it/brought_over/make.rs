//! Makes the databases of `tests/old`: the binary of version 0.1.0 works in front of simulated upstreams until an alert is in
//! each of its states, and is killed. `tests/old/make` runs it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use outbound::clock::SystemClock;
use serde_json::{Value, json};
use simulators::pagerduty::{Endpoint, Opening, PagerDuty, Setup};
use simulators::postgres::Postgres;
use simulators::world::World;

use super::world::{SETTINGS, then};
use crate::harness::{Front, Signal, listening, owned, signal, until};

/// Version 0.1.0, and all that is around it.
struct Old {
    world: World,
    front: Front,
    binary: PathBuf,
    settings: Vec<(String, String)>,
    child: Child,
    starts: u32,
    alerts: Vec<(String, String)>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it wants the binary of version 0.1.0: see tests/old/README.md"]
async fn make() {
    #[expect(clippy::disallowed_methods, reason = "a tool, and no test")]
    let binary = std::env::var("OLD_BINARY").expect("OLD_BINARY, the binary of version 0.1.0");
    for engine in ["sqlite", "postgres"] {
        let mut old = Old::start(PathBuf::from(&binary), engine).await;
        old.what_lasts().await;
        old.restart(&[("PAGE_ACK_WAIT", "10m"), ("FOLLOW_UP", "20s")]).await;
        old.what_is_cut_off().await;
        old.child.kill().expect("SIGKILL");
        old.child.wait().expect("it is dead");
        old.keep(engine);
    }
}

impl Old {
    async fn start(binary: PathBuf, engine: &str) -> Self {
        let world = World::start(then(), SystemClock::shared()).await.expect("a world");
        let first =
            [("PAGE_ACK_WAIT", "3s"), ("FOLLOW_UP", "1h"), ("SUPPRESSION_SETTLE", "10m"), ("SUPPRESSION_MAX", "1h")];
        let mut settings = [world.settings(), owned(SETTINGS), owned(&first)].concat();
        if engine == "postgres" {
            settings.push(("DATABASE_URL".into(), Postgres::shared().database().expect("a database")));
        }
        let alerts = vec![("quiet".to_owned(), world.alert.clone())];
        let child = Command::new("true").spawn().expect("it starts");
        let mut old = Self { world, front: Front::at(String::new()), binary, settings, child, starts: 0, alerts };
        old.serve().await;
        old
    }

    async fn serve(&mut self) {
        self.starts += 1;
        let log = self.world.path(&format!("log-{}", self.starts));
        let mut command = Command::new(&self.binary);
        command.current_dir(self.world.path("")).env_clear().envs(self.settings.iter().map(|(n, v)| (n, v)));
        let stderr = File::create(&log).expect("a log");
        self.child =
            command.arg("serve").stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().expect("it starts");
        let url = until("it to listen", async || {
            let said = std::fs::read_to_string(&log).expect("a log");
            assert!(!said.contains("Error"), "{said}");
            listening(&said)
        });
        self.front = Front::at(url.await);
    }

    async fn restart(&mut self, settings: &[(&str, &str)]) {
        signal(self.child.id(), Signal::TERM);
        self.child.wait().expect("it ends");
        self.settings.extend(owned(settings));
        self.serve().await;
    }

    fn pagerduty(&self) -> &PagerDuty {
        &self.world.pagerduty
    }

    fn id(&self, name: &str) -> &str {
        &self.alerts.iter().find(|(known, _)| known == name).expect(name).1
    }

    /// Opens an alert of the region `prod-<name>`, of which nobody has told yet.
    fn open(&mut self, name: &str) -> String {
        let title = format!("All SE endpoints down in prod-{name}");
        self.open_titled(name, &title)
    }

    fn open_titled(&mut self, name: &str, title: &str) -> String {
        let id = self.pagerduty().open(Opening::new(title, Setup::REGISTRY)).id;
        self.alerts.push((name.to_owned(), id.clone()));
        id
    }

    async fn tell(&self, event_type: &str, id: &str) {
        let body = self.pagerduty().webhook_body(event_type, id);
        self.front.signed(&body).await.is(202);
    }

    async fn alert(&mut self, name: &str) -> String {
        let id = self.open(name);
        self.tell("incident.triggered", &id).await;
        id
    }

    async fn resolve(&self, id: &str) {
        self.pagerduty().resolve(id, None);
        self.tell("incident.resolved", id).await;
    }

    async fn write(&self, id: &str, command: &str) {
        let note = self.pagerduty().annotate(id, Setup::ENGINEER, command).expect("a note");
        self.front.signed(&self.pagerduty().annotated_body(id, &note.id)).await.is(202);
    }

    /// Until the newest run of an alert is so.
    async fn run_is(&self, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{what} of {id}"), async || {
            let run = self.front.runs_of(id).await.into_iter().next()?;
            let run = self.front.run(run["id"].as_str()?).await;
            is(&run).then_some(run)
        })
        .await
    }

    /// Until a build is asked for with a zone of `prod-<name>`. Then until the next second begins, which is how precise an
    /// alert's time is: of an alert that opens later, that build is no evidence.
    async fn builds(&self, name: &str) {
        let zone = format!("registry-prod-{name}-");
        let started = async || self.world.jenkins.started().iter().any(|cluster| cluster.contains(&zone)).then_some(());
        until(&format!("a build of {name}"), started).await;
        let asked = now().as_second();
        until("the next second", async || (now().as_second() > asked).then_some(())).await;
    }

    async fn is_done(&self, id: &str) {
        self.run_is(id, "the end", |run| run["state"] == "done").await;
    }

    async fn says(&self, id: &str, text: &str) {
        let said = async || self.pagerduty().notes_of(id).iter().any(|note| note.content.contains(text)).then_some(());
        until(&format!("{text:?} on {id}: {:#?}", self.pagerduty().notes_of(id)), said).await;
    }

    /// Until a request was made in which all these texts stand.
    async fn asked(&self, about: &[&str]) {
        until(&format!("a request with {about:?}"), async || {
            let asked = self.pagerduty().requests().iter().any(|r| {
                let said = format!("{} {} {} {}", r.method, r.path, r.query, r.body);
                about.iter().all(|text| said.contains(text))
            });
            asked.then_some(())
        })
        .await;
    }

    /// What stays as it is for long: alerts that are over, wait, are watched, or are to be looked at again.
    async fn what_lasts(&mut self) {
        let quiet = self.id("quiet").to_owned();
        self.tell("incident.triggered", &quiet).await;
        let public = |region: &str| format!("All Public endpoints down in prod-{region}");
        for name in ["bigger", "settling"] {
            let related = self.pagerduty().open(Opening::new(&public(name), Setup::REGISTRY)).id;
            self.alerts.push((format!("{name}-related"), related));
            let id = self.alert(name).await;
            self.run_is(&id, "a wait", |run| run["state"] == "suppressed").await;
        }
        let page = Opening::new("Magic Boxes of prod-joined are down", Setup::SERVICE_ENDPOINT);
        self.pagerduty().open(page);
        let joined = self.alert("joined").await;
        let refused = self.open("refused");
        let key = format!("se-responder/{refused}");
        self.pagerduty().refuse(Endpoint::CreateIncident, &[&key], 400);
        self.tell("incident.triggered", &refused).await;
        let held = self.alert("held").await;
        self.write(&held, "/hold").await;
        let acked = self.alert("acked").await;
        let failing = self.open("failing");
        self.pagerduty().refuse(Endpoint::AddNote, &[&failing], 400);
        self.tell("incident.triggered", &failing).await;
        let cancelled = self.open("cancelled");
        self.pagerduty().resolve(&cancelled, None);
        self.tell("incident.triggered", &cancelled).await;
        let related = self.alert("related").await;
        until("its build", async || {
            self.world.jenkins.started().iter().any(|c| c.contains("prod-related")).then_some(())
        })
        .await;
        let explains = self.pagerduty().open(Opening::new(&public("related"), Setup::REGISTRY)).id;
        self.alerts.push(("related-related".into(), explains));
        for name in ["over", "ending", "merged", "status", "rerun", "called"] {
            let id = self.alert(name).await;
            self.is_done(&id).await;
        }
        let over = self.id("over").to_owned();
        self.resolve(&over).await;
        self.says(&over, "TIMELINE").await;
        let merged = self.id("merged").to_owned();
        let into = self.open_titled("merged-into", "[bridge 7] All SE endpoints down in prod-merged");
        self.pagerduty().merge(&merged, &into, Some(Setup::ENGINEER));
        self.tell("incident.resolved", &merged).await;
        self.run_is(&into, "the merge", |_| true).await;
        self.is_done(&related).await;
        self.run_is(&failing, "the failure", |run| run["state"] == "failed").await;
        self.run_is(&cancelled, "the end", |run| run["state"] == "cancelled").await;
        for (id, state) in
            [(&quiet, "paged"), (&acked, "paged"), (&joined, "paged"), (&refused, "failed"), (&held, "held")]
        {
            self.run_is(id, state, |run| run["escalation"]["state"] == state && run["state"] == "done").await;
        }
        let page =
            self.pagerduty().pages().into_iter().find(|page| page.title.contains("prod-acked")).expect("its page");
        self.pagerduty().acknowledge(&page.id, Setup::ENGINEER);
        self.says(&acked, "acknowledged").await;
        self.says(&quiet, "NOBODY HAS ACKNOWLEDGED").await;
        let wish = json!({"region": "prod-hours"});
        self.front.post_as(simulators::world::OPERATOR_TOKEN, "/rerun", &wish, Some("once")).await.is(202);
        self.front.signed(&drill()).await.is(202);
        let settled = self.id("settling-related").to_owned();
        self.resolve(&settled).await;
        until("all that is not suppressed to end", async || {
            let runs = self.front.get("/api/runs").await["runs"].as_array().cloned()?;
            let ended = |run: &Value| run["state"] == "suppressed" || !run["finished_at"].is_null();
            runs.iter().all(ended).then_some(())
        })
        .await;
    }

    /// What lasts for a moment: it is killed in it.
    async fn what_is_cut_off(&mut self) {
        self.pagerduty().forget_requests();
        let followed = self.alert("followed").await;
        let paged = self.alert("pages").await;
        self.is_done(&followed).await;
        self.is_done(&paged).await;
        self.alert("building").await;
        self.builds("building").await;
        let merging = self.alert("merging").await;
        self.builds("merging").await;
        let into = self.open_titled("merging-into", "[bridge 8] All SE endpoints down in prod-merging");
        self.tell("incident.triggered", &into).await;
        self.front.post("/rerun", &json!({"region": "prod-region"})).await.is(202);
        self.builds("region").await;
        let reopened = self.alert("reopened").await;
        self.builds("reopened").await;
        self.resolve(&reopened).await;
        self.pagerduty().reopen(&reopened, None);
        self.tell("incident.reopened", &reopened).await;

        let [ending, status, rerun, called] =
            ["ending", "status", "rerun", "called"].map(|name| self.id(name).to_owned());
        let mut awaited: Vec<Vec<String>> = Vec::new();
        let mut hang = |pagerduty: &PagerDuty, method: &str, endpoint, about: &[&str], done_first: bool| {
            pagerduty.hang(endpoint, about, done_first);
            awaited.push(std::iter::once(method).chain(about.iter().copied()).map(str::to_owned).collect());
        };
        // The texts of bodies are JSON.
        let (run_line, early) = ("\\nrun ", "Still diagnosing");
        let pagerduty = self.world.pagerduty.clone();
        let mut open = |name: &str| self.open(name);
        let [noted, unnoted] = ["noted", "unnoted"].map(&mut open);
        hang(&pagerduty, "POST", Endpoint::AddNote, &[&noted, run_line], true);
        hang(&pagerduty, "POST", Endpoint::AddNote, &[&unnoted, run_line], false);
        let [said, unsaid] = ["said", "unsaid"].map(&mut open);
        hang(&pagerduty, "POST", Endpoint::AddNote, &[&said, early], true);
        hang(&pagerduty, "POST", Endpoint::AddNote, &[&unsaid, early], false);
        let [wanted, opened, asked, untold] = ["wanted", "opened", "asked", "untold"].map(&mut open);
        hang(&pagerduty, "GET", Endpoint::Incidents, &["incident_key", &wanted], false);
        hang(&pagerduty, "POST", Endpoint::CreateIncident, &[&opened, "incident_key"], true);
        hang(&pagerduty, "POST", Endpoint::CreateIncident, &[&asked, "incident_key"], false);
        hang(&pagerduty, "POST", Endpoint::CreateIncident, &[&called, "incident_key"], false);
        hang(&pagerduty, "PUT", Endpoint::EditNote, &[&untold], false);
        hang(&pagerduty, "PUT", Endpoint::EditNote, &[&ending], false);
        hang(&pagerduty, "POST", Endpoint::AddNote, &[&status], true);
        hang(&pagerduty, "POST", Endpoint::AddNote, &[&rerun], false);
        for id in [&noted, &unnoted, &said, &unsaid, &wanted, &opened, &asked, &untold] {
            self.tell("incident.triggered", id).await;
        }
        self.resolve(&ending).await;
        self.write(&status, "/status").await;
        self.write(&rerun, "/rerun").await;
        self.write(&called, "/escalate").await;
        for about in &awaited {
            let about: Vec<&str> = about.iter().map(String::as_str).collect();
            self.asked(&about).await;
        }
        self.pagerduty().merge(&merging, &into, Some(Setup::ENGINEER));
        self.tell("incident.resolved", &merging).await;
        let waiting = self.alert("waiting").await;
        let waits =
            |run: &Value| run["steps"].as_array().is_some_and(|s| s.iter().any(|s| s["name"] == "wait_before_rerun"));
        self.run_is(&waiting, "the wait", waits).await;
        self.alert("fresh").await;
    }

    /// Writes the database and what PagerDuty has, without what is of this machine.
    fn keep(&self, engine: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/old");
        let dumped = match engine {
            "sqlite" => Command::new("sqlite3").arg(self.world.path("se-responder.db")).arg(".dump").output(),
            _ => {
                let url = self.settings.iter().rev().find(|(name, _)| name == "DATABASE_URL").expect("a database");
                Command::new("pg_dump").args(["--inserts", "--no-owner", "--no-privileges", &url.1]).output()
            }
        };
        let dumped = dumped.expect("sqlite3 and pg_dump");
        assert!(dumped.status.success(), "{dumped:?}");
        let folder_then = self.world.path("");
        let text = String::from_utf8(dumped.stdout)
            .expect("UTF-8")
            .replace(self.world.jenkins.url().trim_end_matches('/'), "http://jenkins.example.com")
            .replace(folder_then.to_str().expect("UTF-8").trim_end_matches('/'), "/world");
        std::fs::write(folder.join(format!("0.1.0.{engine}.sql")), text).expect("a dump");
        let world = format!("{:#}\n", self.world_as_json());
        std::fs::write(folder.join(format!("0.1.0.{engine}.world.json")), world).expect("a world");
    }

    fn world_as_json(&self) -> Value {
        let pages = self.pagerduty().pages().into_iter().map(|page| page.id);
        let joined = self.pagerduty().open_titled("Magic Boxes of prod-joined are down").map(|page| page.id);
        let ids = self.alerts.iter().map(|(_, id)| id.clone()).chain(pages).chain(joined);
        let mut incidents: Vec<_> = ids.filter_map(|id| self.pagerduty().incident(&id)).collect();
        incidents.sort_by_key(|incident| incident.number);
        let shown = incidents.iter().map(|incident| {
            let notes = self.pagerduty().notes_of(&incident.id);
            json!({
                "id": incident.id, "title": incident.title, "service_id": incident.service_id, "urgency": incident.urgency,
                "incident_key": incident.incident_key, "created_at": incident.created_at, "state": incident.state.as_str(),
                "changed_by": incident.changed_by, "merged_into": incident.merged_into, "body": incident.body,
                "notes": notes.iter().map(|n| json!({"id": n.id, "user_id": n.user_id, "content": n.content})).collect::<Vec<_>>(),
            })
        });
        json!({
            "killed_at": now().as_millisecond(),
            "alerts": self.alerts.iter().map(|(name, id)| (name.clone(), json!(id))).collect::<serde_json::Map<_, _>>(),
            "builds": self.world.jenkins.started(),
            "incidents": shown.collect::<Vec<_>>(),
        })
    }
}

fn now() -> jiff::Timestamp {
    SystemClock::shared().now()
}

/// A webhook about an incident that PagerDuty doesn't have, as `trigger` sends it.
fn drill() -> String {
    let now = now();
    json!({"event": {
        "id": "drill-event", "event_type": "incident.triggered", "resource_type": "incident", "occurred_at": now,
        "agent": null, "client": {"name": "se-responder drill"},
        "data": {"id": "DRILL0123456789", "type": "incident", "number": 0, "status": "triggered",
            "title": "All SE endpoints down in prod-hours", "created_at": now, "urgency": "high"},
    }})
    .to_string()
}
