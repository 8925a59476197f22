//! Jenkins: the job, and whether this user may build it. Nothing is started.

use super::{Check, LIMIT, Patient, State, System, clock, limited, unanswered, unset};
use jenkins::{Jenkins, JobInfo, MayBuild};
use outbound::error::Error;
use runbook::span::after;

const NEEDED: [&str; 3] = ["JENKINS_JOB_URL", "JENKINS_USER", "JENKINS_API_TOKEN"];
const OTHERWISE: &str = "is JENKINS_JOB_URL right, and may this machine reach it (proxy, firewall, DNS)?";

pub(super) async fn examine(patient: Patient<'_>) -> Vec<Check> {
    if patient.problems.concern(&NEEDED) {
        return vec![unset(System::Jenkins, "job", &NEEDED.join(", "))];
    }
    let own;
    let jenkins = match patient.jenkins {
        Some(jenkins) => jenkins,
        None => match Jenkins::new(patient.config.jenkins.clone(), patient.clock.clone()) {
            Ok(jenkins) => {
                own = jenkins;
                &own
            }
            Err(error) => return vec![unanswered(System::Jenkins, "job", State::Failed, &error, OTHERWISE)],
        },
    };
    let deadline = after(patient.clock.now(), LIMIT);
    let (job, may_build) = tokio::join!(
        limited(patient.clock, "asking Jenkins for the job", jenkins.job(deadline)),
        limited(patient.clock, "asking Jenkins for the job's page", jenkins.may_build()),
    );
    let mut checks = judge(jenkins.job_url().as_str(), &job, &may_build);
    checks.extend(clock::judge(System::Jenkins, jenkins.clock_ahead()));
    checks
}

fn judge(url: &str, job: &Result<JobInfo, Error>, may_build: &Result<MayBuild, Error>) -> Vec<Check> {
    let check = |name, state, detail: String| Check::new(System::Jenkins, name, state, detail);
    let job = match job {
        Ok(job) => job,
        Err(error) => {
            let unknown = |name| check(name, State::Skipped, "not known while Jenkins does not show the job".into());
            let failed = unanswered(System::Jenkins, "job", State::Failed, error, OTHERWISE);
            return vec![failed, unknown("buildable"), unknown("parameter"), unknown("permission")];
        }
    };
    let fix = "give JENKINS_USER the right Job/Build on this job (Job/Cancel as well, to stop what it started)";
    vec![
        check("job", State::Ok, format!("{url} is shown to this user")),
        if job.buildable {
            check("buildable", State::Ok, "it can be built".into())
        } else {
            check("buildable", State::Failed, "it is disabled".into()).mend(format!("enable it on {url}"))
        },
        if job.takes_cluster {
            check("parameter", State::Ok, "it takes the parameter CLUSTER".into())
        } else {
            check(
                "parameter",
                State::Failed,
                "it declares no parameter CLUSTER: it would run for its default zone".into(),
            )
            .mend(format!("give the job a string parameter CLUSTER on {url}configure, or fix JENKINS_JOB_URL"))
        },
        match may_build {
            _ if !job.buildable => {
                check("permission", State::Skipped, "Jenkins offers nobody to build a job that is disabled".into())
            }
            Ok(MayBuild::Yes) => check("permission", State::Ok, "this user may build it".into()),
            Ok(MayBuild::No) => check(
                "permission",
                State::Failed,
                "the job's page offers this user no build: the right Job/Build is missing".into(),
            )
            .mend(fix),
            Ok(MayBuild::Unknown) => check(
                "permission",
                State::Warning,
                "whether this user may build it is not known: the job's page does not look as expected".into(),
            )
            .mend(format!("look at {url} as that user: is there \"Build with Parameters\"?")),
            Err(error) => unanswered(System::Jenkins, "permission", State::Warning, error, fix),
        },
    ]
}
