//! `/glossary`: what the words mean, a tap away from each view.

use simulators::world::{OPERATOR_TOKEN, VIEWER_TOKEN};

use crate::harness::Stage;
use crate::pages::{link_in, text};

const LINK: &str = "<a href=\"/glossary\">";

#[tokio::test]
async fn every_view_links_the_glossary_and_anyone_may_read_it() {
    let stage = Stage::quick(&[]).await;
    let run = stage.diagnosed().await;
    let id = run["id"].as_str().expect("an id");
    let cookie = stage.front.signed_in(OPERATOR_TOKEN).await;
    let signed_in = [("cookie", cookie.as_str())];
    let timeline = format!("/alerts/{}/timeline", stage.world.alert);
    let decisions = format!("/runs/{id}/decisions");
    for path in ["/", &format!("/runs/{id}"), &timeline, &decisions, &format!("{decisions}/1"), "/sign-in", "/glossary"]
    {
        let view = stage.front.page(path, &signed_in).await;
        assert!(text(view.is(200)).contains(LINK), "{path}: {view:?}");
    }
    // Who came by a note's link, or by mistake, has not signed in: the link leads on all the same.
    let by_link = stage.front.page(&link_in(&stage.note_of(&run).content, &run), &[]).await;
    let nothing = stage.front.page("/nothing", &[]).await;
    assert!(text(by_link.is(200)).contains(LINK) && text(nothing.is(404)).contains(LINK));
    let view = stage.front.page("/glossary", &[]).await;
    assert!(text(view.is(200)).contains("/sign-in"), "{view:?}");

    let manual = include_str!("../../docs/glossary.md");
    let terms: Vec<&str> = manual.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert!(terms.len() > 30, "{terms:?}");
    for term in terms {
        let anchor = term.to_lowercase().replace(' ', "-");
        let shown = format!("<dt id=\"{anchor}\">{term}</dt>");
        assert!(text(&view).contains(&shown), "{term}: {view:?}");
    }
    assert!(text(&view).contains("A reverse proxy of the Service Endpoint team in front of one zone."), "{view:?}");
}

#[tokio::test]
async fn whoever_is_signed_in_stays_so_in_the_glossary() {
    let stage = Stage::quick(&[]).await;
    let cookie = stage.front.signed_in(VIEWER_TOKEN).await;
    let view = stage.front.page("/glossary", &[("cookie", &cookie)]).await;
    assert!(text(view.is(200)).contains("Sign out"), "{view:?}");
    // A token that is wrong takes nothing away.
    let view = stage.front.page("/glossary", &[("authorization", "Bearer wrong")]).await;
    assert!(text(view.is(200)).contains("Magic Box"), "{view:?}");
}
