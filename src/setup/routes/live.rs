//! The home page's live part as server-sent events: a new one when something changes, at most one a second.

use super::Opened;
use crate::setup::desk::Desk;
use crate::setup::session::Id;
use crate::status::NodeStatus;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::unfold;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Shortest and longest time between two events.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);

struct Feed {
    desk: Arc<Desk>,
    id: Id,
    status: watch::Receiver<NodeStatus>,
    ended: bool,
    _slot: OwnedSemaphorePermit,
}

/// The stream of one open page; it ends with the session.
pub async fn events(State(desk): State<Arc<Desk>>, Opened(id, _): Opened) -> Response {
    let Ok(slot) = desk.live.clone().try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response(); // the script tries again; the page stays as it is
    };
    let feed = Feed { status: desk.provider.status(), desk, id, ended: false, _slot: slot };
    Sse::new(unfold(feed, next)).keep_alive(KeepAlive::default()).into_response()
}

async fn next(mut feed: Feed) -> Option<(Result<Event, Infallible>, Feed)> {
    if feed.ended || !due(&mut feed).await {
        return None;
    }
    let event = match feed.desk.home(&feed.id, false).await {
        Some(home) => Event::default().event("live").data(feed.desk.pages.text("live.html", home)),
        None => {
            feed.ended = true;
            Event::default().event("locked").data("the session has ended")
        }
    };
    Some((Ok(event), feed))
}

/// Waits until the next event is due; false when the page is closed.
async fn due(feed: &mut Feed) -> bool {
    let stop = feed.desk.stop.clone();
    let wait = async {
        tokio::time::sleep(SHORTEST).await;
        // A provider that has ended changes nothing any more; the clock still runs.
        if let Ok(Err(_)) = tokio::time::timeout(LONGEST - SHORTEST, feed.status.changed()).await {
            tokio::time::sleep(LONGEST - SHORTEST).await;
        }
    };
    tokio::select! {
        () = wait => true,
        () = stop.cancelled() => false,
    }
}
