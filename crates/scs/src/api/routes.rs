//! Every question of the API, in one table: its path, the role that it needs, what it takes, what it answers, and who
//! answers it. The router and the OpenAPI document are both made from it.
//!
//! It knows no answers. The law: what is not in this table does not exist, so nothing is served that is not described
//! and nothing is open that has no role.

use axum::http::Method;
use axum::routing::{MethodRouter, delete, get, post, put};

use super::caller::Role;
use super::{
    Seat, ask, configuration, events, figures_call, logs, look, openapi, rejoin, replay, sequences,
    token_calls, what_if, why,
};

/// One question.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with `{name}` or `{id}` for what the asker chooses.
    pub path: &'static str,
    /// The role that it needs; none: anybody, as it only says whether the program lives.
    pub needs: Option<Role>,
    /// One sentence.
    pub says: &'static str,
    /// Behind the `?`: name, type, sentence.
    pub query: &'static [(&'static str, &'static str, &'static str)],
    /// The schema of the body, if it takes one.
    pub body: Option<&'static str>,
    /// Status, content type and schema of each answer that is no error.
    pub answers: Vec<(u16, &'static str, &'static str)>,
    /// An answer that a key brings back: not for secrets, which are shown once.
    pub repeats: bool,
    /// Who answers.
    pub doing: MethodRouter<Seat>,
}

const JSON: &str = "application/json";
/// Lines of JSON.
pub const LINES: &str = "application/x-ndjson";
/// Server-sent events.
pub const STREAM: &str = "text/event-stream";

impl Route {
    fn new(
        method: Method,
        path: &'static str,
        needs: Role,
        says: &'static str,
        doing: MethodRouter<Seat>,
    ) -> Self {
        let (query, body, answers): (&[_], _, _) = (&[], None, Vec::new());
        Self { method, path, needs: Some(needs), says, query, body, answers, repeats: true, doing }
    }

    fn open(mut self) -> Self {
        self.needs = None;
        self
    }

    fn asked(mut self, query: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    fn takes(mut self, schema: &'static str) -> Self {
        self.body = Some(schema);
        self
    }

    fn gives(mut self, schema: &'static str) -> Self {
        self.answers.push((200, JSON, schema));
        self
    }

    fn gives_as(mut self, status: u16, content_type: &'static str, schema: &'static str) -> Self {
        self.answers.push((status, content_type, schema));
        self
    }

    fn secret(mut self) -> Self {
        self.repeats = false;
        self
    }
}

/// The table.
pub fn routes() -> Vec<Route> {
    let mut all = looks();
    all.extend(does());
    all.extend(keeps());
    all
}

const OPERATION_QUERY: &[(&str, &str, &str)] = &[
    (
        "wait_ms",
        "integer",
        "Keeps the answer back until the operation has ended, at most this long and 30 s.",
    ),
    ("steps", "integer", "Answers at once if there are more steps than these."),
];
const WHICH_EVENTS_OR_FOLLOW: &[(&str, &str, &str)] = &[
    ("since", "string", "Not older: a time, or how long ago as 90s, 10m, 2h, 7d."),
    ("after", "integer", "Only events with a higher number."),
    ("app", "string", "Only of this application."),
    ("pair", "string", "Only of this pair, or of the pair of this member."),
    ("host", "string", "Only of this host."),
    ("limit", "integer", "At most this many, 1 to 1000."),
    ("follow", "boolean", "Goes on for ever, one event a line."),
];

const WHICH_SPAN: &[(&str, &str, &str)] = &[
    (
        "from",
        "string",
        "A time, or how long ago as 90s, 10m, 2h, 7d: leaderships that went on then or began later.",
    ),
    ("to", "string", "In the same words: nothing that was recorded later."),
];

const WHAT_IF: &[(&str, &str, &str)] = &[
    ("what", "string", "host-lost, app-crashed, link-cut, scs-lost or agent-lost."),
    ("name", "string", "Of the host or application; of a link the one end."),
    ("other", "string", "Of a link the other end: a host, or scs."),
];

/// The same without `follow`, which stands last.
const WHICH_EVENTS: &[(&str, &str, &str)] = WHICH_EVENTS_OR_FOLLOW.split_at(6).0;

fn looks() -> Vec<Route> {
    let viewer = |path, says, doing| Route::new(Method::GET, path, Role::Viewer, says, doing);
    vec![
        viewer("/v1/status", "The cluster at a glance, with what is wrong.", get(look::status)).gives("Status"),
        viewer("/v1/hosts", "All hosts.", get(look::hosts)).gives("Hosts"),
        viewer("/v1/hosts/{name}", "One host, with its applications.", get(look::host)).gives("HostDetails"),
        viewer("/v1/applications", "All applications.", get(look::applications)).gives("Applications"),
        viewer("/v1/applications/{name}", "One application.", get(look::application)).gives("Application"),
        viewer("/v1/pairs", "All pairs.", get(look::pairs)).gives("Pairs"),
        viewer("/v1/pairs/{name}", "One pair, by its name or a member's.", get(look::pair)).gives("PairDetails"),
        viewer("/v1/operations", "Operations of this life of the control server.", get(look::operations))
            .gives("Operations"),
        viewer("/v1/operations/{id}", "One operation.", get(look::operation))
            .asked(OPERATION_QUERY)
            .gives("Operation"),
        viewer("/v1/events", "What happened, oldest first.", get(events::events))
            .asked(WHICH_EVENTS_OR_FOLLOW)
            .gives("Events")
            .gives_as(200, LINES, "Event"),
        viewer(
            "/v1/events/stream",
            "What happens from now as server-sent events; with `since`, `after` or the header Last-Event-ID also what \
             happened before. A comment comes at least every 15 s.",
            get(events::stream),
        )
        .asked(WHICH_EVENTS)
        .gives_as(200, STREAM, "EventStream"),
        viewer("/v1/why", "The reasons of one event.", get(why::event))
            .asked(&[("event", "integer", "The event's number.")])
            .gives("WhyEvent"),
        viewer("/v1/why/{name}", "The reasons of a pair, an application or a host.", get(why::object)).gives("Why"),
        viewer(
            "/v1/what-if",
            "What would happen if a host, a process, a link, an agent or the control server were lost: the deciding function \
             is asked, on a copy; nothing is done.",
            get(what_if::foresee),
        )
        .asked(WHAT_IF)
        .gives("Foreseen"),
        viewer("/metrics", "Figures for Prometheus.", get(figures_call::text))
            .gives_as(200, "text/plain", "Text"),
        viewer("/v1/openapi.json", "This document.", get(openapi::document)).gives("Document"),
        viewer("/healthz", "The program runs and its machine answers.", get(look::health)).gives("Health").open(),
        viewer("/readyz", "It leads and has a configuration.", get(look::readiness)).gives("Readiness").open(),
    ]
}

const WHICH_OUTPUT: &[(&str, &str, &str)] = &[
    ("lines", "integer", "At most this many of the last lines."),
    ("since", "string", "Not older: a time, or how long ago as 90s, 10m, 2h, 7d."),
    ("follow", "boolean", "Goes on with what comes."),
];

fn does() -> Vec<Route> {
    let operator = |path, says, doing| {
        Route::new(Method::POST, path, Role::Operator, says, doing).gives_as(202, JSON, "Begun").gives("Done")
    };
    vec![
        // What applications print may hold secrets, so looking at it takes more than a viewer.
        Route::new(
            Method::GET,
            "/v1/applications/{name}/logs",
            Role::Operator,
            "What an application printed, in lines of JSON with a piece each.",
            get(logs::logs),
        )
        .asked(WHICH_OUTPUT)
        .gives_as(200, LINES, "LogPiece"),
        // What differs is shown with the configuration and the words of whoever asked.
        Route::new(
            Method::GET,
            "/v1/replay",
            Role::Operator,
            "Decides again on what was recorded, from the beginning of each leadership of a span, and compares each decision \
             letter by letter; nothing is done. Without `from` it is the newest leadership.",
            get(replay::replay),
        )
        .asked(WHICH_SPAN)
        .gives("Replayed"),
        Route::new(
            Method::POST,
            "/v1/hosts/{name}/rejoin",
            Role::Operator,
            "Accepts the agent of a host that was refused as its identity is another one than before; with `dry_run` it is \
             only said what that gives up.",
            post(rejoin::rejoin),
        )
        .takes("DryRun")
        .gives("Done"),
        operator("/v1/applications/{name}/start", "Starts an application.", post(ask::start)).takes("Reason"),
        operator("/v1/applications/{name}/stop", "Stops an application.", post(ask::stop)).takes("Stop"),
        operator("/v1/applications/{name}/restart", "Stops an application and starts it.", post(ask::restart))
            .takes("Reason"),
        operator("/v1/pairs/{name}/start", "Starts both members.", post(ask::start)).takes("Reason"),
        operator("/v1/pairs/{name}/stop", "Stops both members.", post(ask::stop)).takes("Stop"),
        operator(
            "/v1/pairs/{name}/switchover",
            "Changes the roles of a pair; with `to` nothing is done if it is so already; with `dry_run` the plan is \
             given and nothing done.",
            post(ask::switchover),
        )
        .takes("Switchover"),
        operator(
            "/v1/pairs/{name}/restart",
            "Restarts both members, the backup first, with a switchover between; with `dry_run` only the plan is given.",
            post(sequences::restart),
        )
        .takes("Planned"),
        operator(
            "/v1/pairs/{name}/failover",
            "Promotes the backup without the usual proof that the former primary has ended; needs `force`, and as `given_up` \
             what the plan of a `dry_run` said: it is refused if it would be something else now.",
            post(sequences::failover),
        )
        .takes("Failover"),
        operator(
            "/v1/pairs/{name}/flap/acknowledge",
            "Lets automatic changes of roles go on after a pair changed them too often.",
            post(sequences::acknowledge),
        )
        .takes("Nothing"),
        operator(
            "/v1/hosts/{name}/drain",
            "Switches everything primary away from a host; with `dry_run` only the plan is given.",
            post(sequences::drain),
        )
        .takes("Planned"),
        operator("/v1/hosts/{name}/return", "Takes a drained host back into use.", post(sequences::give_back))
            .takes("Planned"),
        operator(
            "/v1/hosts/{name}/hold",
            "Gives what acts on a host a lease of `span_ms` for planned work there, and for that long; without `span_ms` its \
             usual lease again; with `dry_run` only the plan is given.",
            post(sequences::hold),
        )
        .takes("Hold"),
        Route::new(
            Method::PUT,
            "/v1/maintenance/{name}",
            Role::Operator,
            "Takes a host, an application or a pair out of automatic care, or back.",
            put(ask::maintenance),
        )
        .takes("Maintenance")
        .gives("Done"),
    ]
}

fn keeps() -> Vec<Route> {
    vec![
        // Commands and options of every application, though no secrets that are known as such.
        Route::new(
            Method::GET,
            "/v1/config",
            Role::Operator,
            "The accepted configuration as a cluster file that means the same; secrets are masked.",
            get(configuration::accepted),
        )
        .gives("Configuration"),
        Route::new(
            Method::POST,
            "/v1/config/reload",
            Role::Admin,
            "Reads the cluster file again: all of it takes effect, or nothing. With `dry_run` it is only said what would change, \
             or why it would be refused.",
            post(ask::reload),
        )
        .takes("DryRun")
        .gives("Reloaded"),
        Route::new(
            Method::GET,
            "/v1/tokens",
            Role::Admin,
            "All tokens, without what opens.",
            get(token_calls::all),
        )
        .gives("Tokens"),
        Route::new(
            Method::POST,
            "/v1/tokens",
            Role::Admin,
            "Makes a token. What opens is in this answer and nowhere else, so a repeated request is refused.",
            post(token_calls::make),
        )
        .takes("NewToken")
        .gives_as(201, JSON, "TokenMade")
        .secret(),
        Route::new(
            Method::DELETE,
            "/v1/tokens/{name}",
            Role::Admin,
            "Takes a token back: it opens nothing any more, and what it opened ends.",
            delete(token_calls::revoke),
        )
        .gives("Done"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_liveness_is_open_and_only_looking_is_for_viewers() {
        for route in routes() {
            let (method, path) = (&route.method, route.path);
            match route.needs {
                None => assert!(["/healthz", "/readyz"].contains(&path), "{path} is open"),
                Some(Role::Viewer) => assert_eq!(method, Method::GET, "{path} changes something"),
                Some(Role::Operator | Role::Admin) => {}
            }
            assert!(route.says.ends_with('.') && !route.answers.is_empty(), "{path} is not described");
            assert!(route.body.is_none() || matches!(*method, Method::POST | Method::PUT), "{path}");
        }
    }
}
