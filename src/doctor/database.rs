//! The database: there or to be made, its tables, and whether it takes writes. It is neither made nor migrated here.

use super::{Check, LIMIT, Patient, State, System, unset};
use store::{Examined, Schema};

const NAMES: [&str; 3] = ["reachable", "schema", "writable"];

pub(super) async fn examine(patient: Patient<'_>) -> Vec<Check> {
    let check = |at: usize, state, detail: String| Check::new(System::Database, NAMES[at], state, detail);
    let fix = "fix DATABASE_URL, or what stands in its way: docs/reliability.md, \"Database and replicas\"";
    if patient.problems.concern(&["DATABASE_URL"]) {
        return vec![unset(System::Database, NAMES[0], "DATABASE_URL")];
    }
    let looked = match patient.config.database_url.reveal() {
        Ok(url) => tokio::select! {
            biased;
            looked = store::examine(&url, patient.thorough) => looked.map_err(|e| e.to_string()),
            () = patient.clock.sleep(LIMIT) => Err("the database did not answer in time".to_owned()),
        },
        Err(error) => Err(format!("DATABASE_URL can't be read: {error}")),
    };
    match looked {
        Err(why) => {
            let unknown = |at| check(at, State::Skipped, "not known while it can't be reached".into());
            vec![check(0, State::Failed, why).mend(fix), unknown(1), unknown(2)]
        }
        Ok(Examined::Absent { name }) => vec![
            check(0, State::Ok, format!("there is no database {name} yet: `serve` makes it")),
            check(1, State::Skipped, "there are no tables yet: `serve` makes them".into()),
            check(2, State::Ok, "its folder may be written to".into()),
        ],
        Ok(Examined::Present { name, schema, read_only }) => vec![
            check(0, State::Ok, format!("the database {name} answers")),
            match schema {
                Schema::Current => check(1, State::Ok, "its tables are those of this version".into()),
                Schema::Behind(1) => check(1, State::Ok, "1 migration is pending: `serve` applies it".into()),
                Schema::Behind(count) => {
                    check(1, State::Ok, format!("{count} migrations are pending: `serve` applies them"))
                }
                Schema::Foreign(why) => check(1, State::Failed, why)
                    .mend("run the version that made it, or give this one a database of its own in DATABASE_URL"),
            },
            match read_only {
                None => check(2, State::Ok, "it takes writes".into()),
                Some(why) => check(2, State::Failed, why).mend(fix),
            },
        ],
    }
}
