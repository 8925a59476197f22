use std::time::Duration;

use outbound::clock::SystemClock;
use outbound::error::Kind;
use outbound::permit::Permit;
use outbound::secret::Secret;
use simulators::github::{self as simulated, Fault};

use super::*;

async fn both() -> (simulated::GitHub, GitHub) {
    let server = simulated::GitHub::start(simulated::Setup::default()).await.unwrap();
    let github = client(&server, &server.token());
    (server, github)
}

fn client(server: &simulated::GitHub, token: &str) -> GitHub {
    let (owner, name) = simulated::REPO.split_once('/').unwrap();
    let settings = GitHubSettings {
        api_url: server.api_url().parse().unwrap(),
        repo: (owner.to_owned(), name.to_owned()),
        token: Secret::from(token),
    };
    GitHub::new(settings, SystemClock::shared()).unwrap()
}

fn permit() -> Permit {
    Permit::needless("a test")
}

#[tokio::test]
async fn an_issue_is_created_and_found_among_our_own_by_its_marker() {
    let (server, github) = both().await;
    let login = github.login().await.unwrap();
    assert_eq!(github.find(&login, "<!-- x -->").await.unwrap(), None);
    let made = github.create(&permit(), "RCA", "text\n<!-- x -->", "se-responder").await.unwrap();
    assert!(made.html_url.contains(simulated::REPO), "{made:?}");
    // Closed, and behind many others, somebody else's among them.
    server.close(made.number);
    server.others(250, &login);
    server.others(50, "somebody");
    assert_eq!(github.find(&login, "<!-- x -->").await.unwrap().unwrap().number, made.number);
    assert_eq!(github.find(&login, "<!-- y -->").await.unwrap(), None);
    let issue = &server.issues()[0];
    assert_eq!((issue.title.as_str(), issue.labels.as_slice()), ("RCA", &["se-responder".to_owned()][..]));
}

#[tokio::test]
async fn a_lost_answer_is_not_known_and_a_rate_limit_waits() {
    let (server, github) = both().await;
    server.fail("POST", Fault::LostAnswer, 1);
    let error = github.create(&permit(), "RCA", "<!-- x -->", "l").await.unwrap_err();
    assert_eq!(error.kind, Kind::Ambiguous, "{error}");
    assert_eq!(server.issues().len(), 1);
    for (fault, kind) in [
        (Fault::Status(502), Kind::Ambiguous),
        (Fault::Status(404), Kind::Refused(reqwest::StatusCode::NOT_FOUND)),
        (Fault::Status(410), Kind::Refused(reqwest::StatusCode::GONE)),
        (Fault::Status(403), Kind::Refused(reqwest::StatusCode::FORBIDDEN)),
    ] {
        server.fail("POST", fault, 1);
        let error = github.create(&permit(), "RCA", "b", "l").await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
    }
    server.fail("GET", Fault::Limited(17), 1);
    let error = github.login().await.unwrap_err();
    assert_eq!(error.kind, Kind::Later(Some(Duration::from_secs(17))), "{error}");
    let before = server.requests();
    assert!(matches!(github.login().await.unwrap_err().kind, Kind::Later(Some(_))));
    assert_eq!(server.requests(), before, "nothing is asked before then");
}

#[tokio::test]
async fn a_wrong_token_is_said_with_what_to_do_and_not_quoted() {
    let (server, _) = both().await;
    let error = client(&server, "wrong-secret").login().await.unwrap_err();
    assert!(error.to_string().contains("GHE_TOKEN") && !error.to_string().contains("wrong-secret"), "{error}");
}
