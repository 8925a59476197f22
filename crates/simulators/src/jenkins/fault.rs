//! Jenkins' bad days.

use std::time::Duration;

/// Which requests a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Any.
    Any,
    /// Starting a build.
    Start,
    /// One queue item.
    Item,
    /// The queue.
    Queue,
    /// The job and its list of builds.
    Job,
    /// One build.
    Build,
    /// A console.
    Log,
    /// Stopping and cancelling.
    Stop,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 400: not parameterised.
    BadRequest,
    /// 401: wrong user or token.
    Unauthorized,
    /// 403: no permission.
    Forbidden,
    /// 404: not there, or no permission to see it.
    NotFound,
    /// 409: disabled.
    Conflict,
    /// 302 to `.`: not queued.
    SentBack,
    /// 302 to a sign-in page on another host.
    SentToSignIn,
    /// 200 with an HTML page for signing in.
    SignInPage,
    /// 500 as older cores answer for a job without parameters.
    NotParameterized,
    /// 500 without a reason, nothing done.
    InternalError,
    /// 503, with what `Retry-After` says.
    Unavailable(Duration),
    /// 429: a proxy in front of it had enough; with what `Retry-After` says.
    TooManyRequests(Option<Duration>),
    /// 200 with JSON that is something else.
    WrongJson,
    /// No answer, nothing done.
    Hang,
    /// The connection closes without an answer, nothing done.
    Reset,
    /// It is done, but the connection closes without an answer.
    LostAnswer,
    /// The connection closes without an answer, and a build that was asked for is queued after so long.
    Late(Duration),
    /// It is done, but a gateway answers 503 in Jenkins' place.
    DoneThenUnavailable,
    /// Every list in the answer has entries that are `null` or something else.
    OddEntries,
    /// The answer breaks off in its middle.
    HalfAnswer,
}
