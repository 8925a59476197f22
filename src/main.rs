//! The commands and their exit codes: 0 done, 1 it failed, 2 usage or configuration; 3 migrations are pending (`migrate --check`).

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};
use jiff::Timestamp;
use outbound::clock::SystemClock;
use runbook::alert::Region;
use runbook::text::visible;
use se_responder::commands::output::{aside, print_bytes};
use se_responder::commands::{
    backtest, check, diagnose, doctor, healthcheck, kubeconfig, migrate, replay, rerun, serve, subscribe, trigger,
};
use se_responder::config::{
    BacktestConfig, Config, DiagnoseConfig, Environment, KubeconfigConfig, Problems, RerunConfig, SubscribeConfig,
    TriggerConfig, load_database, load_listen_url, parse_duration,
};
use se_responder::log;

/// Does an on-call engineer's first half hour when all Service Endpoints of a registry region are down.
#[derive(Debug, Parser)]
#[command(version, long_version = LONG_VERSION)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// The version, and how it was built.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit: ",
    env!("BUILT_OF"),
    "\nfeatures: ",
    env!("BUILT_WITH"),
    "\ntarget: ",
    env!("BUILT_FOR")
);

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: receive PagerDuty's webhooks, diagnose, write notes, page
    Serve,
    /// Watch an alert become a note, against simulated PagerDuty, Jenkins and clusters
    #[cfg(feature = "sim")]
    Demo {
        /// Scenario name; `list` shows all
        #[arg(long, default_value = "service-endpoint")]
        scenario: String,
        /// Stop when the note is printed
        #[arg(long)]
        exit: bool,
    },
    /// Send a signed webhook, as PagerDuty would: a drill, unless it names an incident
    Trigger {
        /// The alert's title: All SE endpoints down in prod-us-south
        #[arg(long)]
        title: String,
        /// An incident that PagerDuty knows. Without it this is a drill: a full run, its note on the run's view only
        #[arg(long)]
        incident_id: Option<String>,
        /// Target URL: https://<host>/webhooks/pagerduty [default: on LISTEN_ADDR]
        #[arg(long)]
        url: Option<url::Url>,
        /// Follow the run to its end; needs SE_RESPONDER_TOKEN
        #[arg(long)]
        wait: bool,
    },
    /// Ask the service for another diagnosis; needs SE_RESPONDER_TOKEN
    Rerun {
        /// The alert's incident: its id in PagerDuty, or its address
        #[arg(required_unless_present = "region", conflicts_with = "region")]
        incident: Option<String>,
        /// A region instead: nothing is posted
        #[arg(long)]
        region: Option<Region>,
        /// The service's base URL [default: PUBLIC_URL, else on LISTEN_ADDR]
        #[arg(long)]
        url: Option<url::Url>,
        /// Follow the run to its end: 0 done with a diagnosis, 1 failed, cancelled or inconclusive
        #[arg(long)]
        wait: bool,
    },
    /// Read the settings and the regions file, offline, and say what is wrong or risky
    Check,
    /// Ask the service of this machine whether its process is up
    Healthcheck,
    /// Say whether starting this version would change the database: exit code 0 no, 3 yes
    Migrate {
        /// Look only; the database is migrated by `serve`
        #[arg(long, required = true)]
        check: bool,
    },
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Make the PagerDuty webhook subscription of a service, and print its secret (shown only once)
    Subscribe {
        /// The service that gets the alerts: its id in PagerDuty
        #[arg(long)]
        service: String,
        /// Where PagerDuty reaches this service: https://<your proxy>/webhooks/pagerduty [default: WEBHOOK_URL]
        #[arg(long)]
        url: Option<url::Url>,
    },
    /// Ask every system for what the service will need, and say what is missing and how to fix it; only reads
    Doctor {
        /// Print what was found as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Replay past alerts as ESCALATION_MODE=auto would have gone, and compare with what was wrong; only reads
    Backtest {
        /// How far back, from now or from --until: 365d
        #[arg(long, value_parser = parse_duration)]
        since: Duration,
        /// End of the time, RFC 3339: 2026-12-01T00:00:00Z [default: now]
        #[arg(long)]
        until: Option<Timestamp>,
        /// A folder of kept consoles, named YYYYMMDDTHHMMSSZ-<cluster>.txt (UTC)
        #[arg(long, value_name = "DIR")]
        consoles: Option<PathBuf>,
        /// A CSV file incident_id,truth: service-endpoint, registry, client or none
        #[arg(long, value_name = "FILE")]
        labels: Option<PathBuf>,
        /// File that keeps what was asked, so that a stopped backtest can continue
        #[arg(long, value_name = "FILE", default_value = "backtest.state")]
        state: PathBuf,
        /// Print the report as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Decide a recorded alert again by this version's rules, and say what would be different; only reads
    Replay {
        /// A run of the alert: the last line of its note
        #[arg(value_name = "RUN ID")]
        run_id: String,
    },
    /// Write what the registry clusters must grant, how to get a token of each, and one kubeconfig for the service
    Kubeconfig {
        /// The regions file [default: REGIONS_FILE]
        #[arg(long, value_name = "FILE")]
        regions: Option<String>,
        /// Output folder, made if missing
        #[arg(long, value_name = "DIR", default_value = "se-responder-clusters")]
        out: PathBuf,
    },
    /// Diagnose a region from here, read-only: nothing is posted and nobody is paged
    Diagnose {
        /// The region, as in the alert's title: prod-us-south
        region: Region,
        /// Read this console instead of asking Jenkins; `-` is standard input. Given again: a re-run
        #[arg(long, value_name = "FILE")]
        console: Vec<PathBuf>,
        /// Do not ask the clusters
        #[arg(long)]
        no_clusters: bool,
        /// Print the diagnosis as the API's JSON object
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (environment, mut problems) = Environment::of_process();
    // A person watches the others; the service's own log would be in the way. What is not well `doctor` says itself.
    let level = match arguments.command {
        Command::Serve => "info",
        Command::Doctor { .. } => "error",
        _ => "warn",
    };
    // What is still to be sent of it is sent when `main` ends.
    let _traces = log::begin(&environment, level).inspect_err(|more| problems.0.extend(more.0.iter().cloned()));
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let result = runtime.block_on(run(arguments.command, &environment, problems));
    // A credential plugin of a kubeconfig may hang in a thread of its own: it must not keep the process.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Pending>() => ExitCode::from(3),
        Err(error) => match error.downcast_ref::<Problems>() {
            Some(problems) => misconfigured(problems),
            None => failed(&error),
        },
    }
}

/// Migrations are to come: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("migrations are pending")]
struct Pending;

async fn run(command: Command, environment: &Environment, mut problems: Problems) -> anyhow::Result<()> {
    let clock = SystemClock::shared();
    match command {
        Command::Serve => serve::serve(together(problems, Config::load(environment))?, clock).await,
        #[cfg(feature = "sim")]
        Command::Demo { scenario, exit } => {
            together(problems, Ok(()))?;
            se_responder::commands::demo::demo(&scenario, exit, clock).await
        }
        Command::Trigger { title, incident_id, url, wait } => {
            let config = together(problems, TriggerConfig::load(environment, wait))?;
            trigger::trigger(config, &title, incident_id.as_deref(), url, clock).await
        }
        Command::Subscribe { service, url } => {
            let config = together(problems, SubscribeConfig::load(environment))?;
            subscribe::subscribe(config, &service, url, clock).await
        }
        Command::Doctor { json } => {
            // It goes on with what could be read.
            let (config, more) = Config::survey(environment);
            problems.0.extend(more.0);
            doctor::doctor(&config, problems, json, clock).await
        }
        Command::Backtest { since, until, consoles, labels, state, json } => {
            let config = together(problems, BacktestConfig::load(environment))?;
            let arguments = se_responder::backtest::Arguments { since, until, consoles, labels, json };
            backtest::backtest(config, &arguments, &state, clock).await
        }
        Command::Rerun { incident, region, url, wait } => {
            let config = together(problems, RerunConfig::load(environment, url.as_ref()))?;
            let service = rerun::Service { base: config.service, token: config.token };
            let subject = match (incident, region) {
                (_, Some(region)) => rerun::Subject::Region(region.to_string()),
                (incident, None) => rerun::Subject::Incident(incident.unwrap_or_default()),
            };
            rerun::rerun(&service, &subject, wait, &clock).await
        }
        Command::Check => check::check(&together(problems, Config::load(environment))?),
        Command::Healthcheck => healthcheck::healthcheck(&together(problems, load_listen_url(environment))?).await,
        Command::Migrate { check: _ } => {
            let database = together(problems, load_database(environment))?;
            match migrate::check(&database).await? {
                migrate::Migrations::None => Ok(()),
                migrate::Migrations::Pending => Err(Pending.into()),
            }
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "se-responder", &mut text);
            print_bytes(&text)
        }
        Command::Man => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Arguments::command()).render(&mut text)?;
            print_bytes(&text)
        }
        Command::Replay { run_id } => {
            let database = together(problems, load_database(environment))?;
            replay::replay(&database, &run_id, clock).await
        }
        Command::Kubeconfig { regions, out } => {
            kubeconfig::kubeconfig(&together(problems, KubeconfigConfig::load(environment, regions.as_deref()))?, &out)
        }
        Command::Diagnose { region, console, no_clusters, json } => {
            let config = DiagnoseConfig::load(environment, console.is_empty(), !no_clusters);
            let config = together(problems, config)?;
            diagnose::diagnose(config, &region, &console, json, clock).await
        }
    }
}

/// What a command needs, or all that is wrong: with the environment itself, with the log, with the command's settings.
fn together<T>(mut problems: Problems, loaded: Result<T, Problems>) -> Result<T, Problems> {
    match loaded {
        Ok(loaded) if problems.0.is_empty() => Ok(loaded),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.0.extend(more.0);
            Err(problems)
        }
    }
}

fn misconfigured(problems: &Problems) -> ExitCode {
    aside(format_args!("se-responder: {problems}"));
    ExitCode::from(2)
}

fn failed(error: &anyhow::Error) -> ExitCode {
    aside(format_args!("se-responder: {}", visible(&format!("{error:#}"))));
    ExitCode::FAILURE
}
