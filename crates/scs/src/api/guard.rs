//! The door: every request has somebody behind it, who may what it asks, or it is refused and that is an event.
//!
//! It knows no questions. The law: nothing is answered before the asker is known and the role is enough, but whether
//! the program lives; and a flood of refusals makes a bounded number of events.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use understudy_drive::CrowdPlace;
use understudy_model::{Because, Event, EventKind, Moment, Rule, Severity, Subject};
use understudy_settings::ApiAccess;
use understudy_transport::{RefusalTally, TlsFailure};

use super::actor::Actor;
use super::addressed::{self, Misaddressed};
use super::caller::{Caller, Peer, Role, role_of_certificate};
use super::error::ApiError;
use super::tls::TlsInUse;
use super::tokens::Tokens;
use crate::journal::{Journal, now_ms};

/// The most refusals of known callers that become events each in one minute.
const MOST_TOLD: u32 = 60;
const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// How much of a path is told.
const LONGEST_TOLD_PATH: usize = 120;

/// What the door knows. Clones share it.
#[derive(Clone)]
pub struct Guard {
    /// Tokens that open.
    pub tokens: Tokens,
    /// What operators with certificates may, and the names of ours that only settings know.
    access: Arc<Mutex<Arc<ApiAccess>>>,
    /// The certificate, whose names are ours; absent without a network side.
    pub tls: Option<TlsInUse>,
    /// Refusals are events.
    pub journal: Journal,
    told: Arc<Mutex<Told>>,
}

#[derive(Default)]
struct Told {
    tally: RefusalTally,
    since: Moment,
    count: u32,
}

/// A connection's place among strangers, given back when somebody known asks through it, if there is room.
#[derive(Clone)]
pub struct Stranger(pub Arc<dyn Fn() + Send + Sync>);

impl Stranger {
    /// One that gives back `place` and takes a permit of `known` instead, both for as long as it lives itself.
    pub fn new(place: CrowdPlace, known: Arc<tokio::sync::Semaphore>) -> Self {
        let holds = Mutex::new((Some(place), None));
        Self(Arc::new(move || {
            let mut holds = holds.lock().unwrap_or_else(PoisonError::into_inner);
            if holds.0.is_some()
                && let Ok(permit) = Arc::clone(&known).try_acquire_owned()
            {
                *holds = (None, Some(permit));
            }
        }))
    }
}

/// Why nobody is known behind a request.
#[derive(Clone)]
struct Unknown(String);

impl Guard {
    /// A door with nothing told yet.
    pub fn new(tokens: Tokens, access: ApiAccess, tls: Option<TlsInUse>, journal: Journal) -> Self {
        Self { tokens, access: Arc::new(Mutex::new(Arc::new(access))), tls, journal, told: Arc::default() }
    }

    /// Other settings hold from now on, also for what is open.
    pub fn change(&self, access: ApiAccess) {
        *self.access.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(access);
        self.tokens.look_again();
    }

    fn access(&self) -> Arc<ApiAccess> {
        // Only ever replaced as a whole, so a poisoned lock still guards whole settings.
        Arc::clone(&self.access.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// True if what opened something for that caller would open it still. Whatever stays open asks this.
    pub fn may_go_on(&self, caller: &Caller) -> bool {
        let role = caller.operator.as_ref().map(|name| role_of_certificate(&self.access(), name));
        let token_opens = caller.ticket.as_ref().is_none_or(|ticket| self.tokens.is_good(ticket, now_ms()));
        token_opens && role.is_none_or(|role| role >= caller.role)
    }

    /// Who asks.
    fn caller(&self, peer: &Peer, request: &Request) -> Result<Caller, String> {
        if let Some(value) = request.headers().get(header::AUTHORIZATION) {
            return self.caller_of_token(secret_of(value)?);
        }
        match peer {
            Peer::Local { actor, role } => {
                Ok(Caller { actor: actor.clone(), role: *role, ticket: None, operator: None })
            }
            Peer::Remote { certificate: Some(Ok(name)), .. } => {
                let role = role_of_certificate(&self.access(), name);
                let operator = Some(name.clone());
                Ok(Caller { actor: Actor(format!("operator {name}")), role, ticket: None, operator })
            }
            Peer::Remote { certificate: Some(Err(why)), .. } => Err(why.clone()),
            Peer::Remote { certificate: None, .. } => {
                Err("neither a token nor an operator's certificate came with the request".to_owned())
            }
        }
    }

    fn caller_of_token(&self, secret: &str) -> Result<Caller, String> {
        let (role, ticket) = self.tokens.check(secret, now_ms()).map_err(|refusal| refusal.to_string())?;
        Ok(Caller {
            actor: Actor(format!("token {}", ticket.name())),
            role,
            ticket: Some(ticket),
            operator: None,
        })
    }

    fn addressed(&self, peer: &Peer, request: &Request) -> Result<(), ApiError> {
        let refused = match peer {
            Peer::Local { .. } => addressed::check(request.headers(), request.uri(), None),
            Peer::Remote { .. } => {
                let loaded = self.tls.as_ref().map(TlsInUse::now);
                let of_certificate = loaded.iter().flat_map(|loaded| loaded.host_names.iter());
                let access = self.access();
                let names: Vec<&str> = of_certificate.chain(&access.host_names).map(String::as_str).collect();
                addressed::check(request.headers(), request.uri(), Some(&names))
            }
        };
        refused.map_err(|refused| match refused {
            Misaddressed::NoHost(why) => ApiError::bad_request(why),
            Misaddressed::OtherHost(host) => {
                let message = format!("{host:?} is no name of this control server");
                ApiError::new(StatusCode::FORBIDDEN, "host-refused", message)
                    .because("a name made by somebody else could lead a browser here")
                    .try_next("an address in numbers, or add the name to host-names in [api] of scs.toml")
            }
            Misaddressed::OtherOrigin(origin) => {
                let message = format!("a page of {origin:?} may not ask this API");
                ApiError::new(StatusCode::FORBIDDEN, "origin-refused", message)
            }
        })
    }

    /// Tells that somebody was refused, unless that many were told just before.
    fn tell_refused(&self, peer: &Peer, caller: Result<(&Caller, Role), &str>, request: &Request) {
        let path: String = request.uri().path().chars().take(LONGEST_TOLD_PATH).collect();
        let asked = format!("{} {path}", request.method());
        let now = understudy_drive::now();
        let (rule, actor, times) = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if now.since(told.since) >= TOLD_WITHIN {
                (told.since, told.count) = (now, 0);
            }
            told.count = told.count.saturating_add(1);
            match caller {
                // A flood of one who is known is bounded too.
                Ok((caller, _)) if told.count <= MOST_TOLD => {
                    (Rule::RoleTooLow, Some(caller.actor.0.clone()), Some(1))
                }
                Ok((caller, _)) => {
                    let times = told.tally.count("role-too-low", now);
                    (Rule::RoleTooLow, Some(caller.actor.0.clone()), times)
                }
                Err(_) => (Rule::AccessNotProven, None, told.tally.count("access-not-proven", now)),
            }
        };
        let Some(times) = times else { return };
        let reason = match caller {
            Ok((caller, needs)) => {
                format!("{} is {} and {asked} needs {}", caller.actor.0, caller.role.as_str(), needs.as_str())
            }
            Err(why) => why.to_owned(),
        };
        let from = match peer {
            Peer::Local { actor, .. } => format!("{}, on this machine", actor.0),
            Peer::Remote { address, .. } => address.to_string(),
        };
        let because = Because::new(rule, reason).fact("asked", asked).fact("from", from).fact("times", times);
        let (kind, severity) = (EventKind::AccessRefused, Severity::Warning);
        let told = Event::new(kind, severity, Subject::default(), because);
        self.journal.tell(vec![Event { actor, ..told }]);
    }

    /// Tells that a certificate was refused before anything could be asked, at most once a minute.
    pub(super) fn tell_no_handshake(&self, address: SocketAddr, failure: &TlsFailure) {
        let times = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.tally.count("certificate-refused", understudy_drive::now())
        };
        let Some(times) = times else { return };
        let because = Because::new(Rule::AccessNotProven, &failure.text)
            .fact("reason", failure.word)
            .fact("from", address)
            .fact("times", times);
        let told = Event::new(EventKind::AccessRefused, Severity::Warning, Subject::default(), because);
        self.journal.tell(vec![told]);
    }
}

/// The token in an Authorization header.
pub(super) fn secret_of(value: &HeaderValue) -> Result<&str, &'static str> {
    let scheme_and_secret = value.to_str().unwrap_or_default().split_once(' ');
    let secret = scheme_and_secret.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (_, secret) = secret.ok_or("the Authorization header is not of the form: Bearer TOKEN")?;
    Ok(secret.trim())
}

/// Finds out who asks, for everything that is done after it.
pub async fn identify(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "broken",
            "a connection without a peer",
        ));
    };
    guard.addressed(&peer, &request)?;
    match guard.caller(&peer, &request) {
        Ok(caller) => {
            if let Some(Stranger(become_known)) = request.extensions().get::<Stranger>() {
                become_known();
            }
            request.extensions_mut().insert(caller.actor.clone());
            request.extensions_mut().insert(caller);
        }
        Err(why) => {
            request.extensions_mut().insert(Unknown(why));
        }
    }
    Ok(next.run(request).await)
}

/// Lets those pass whose role is enough.
pub async fn admit(
    State((guard, needs)): State<(Guard, Role)>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let peer = request.extensions().get::<Peer>();
    let refused = match (request.extensions().get::<Caller>(), request.extensions().get::<Unknown>()) {
        (Some(caller), _) if caller.role >= needs => None,
        (Some(caller), _) => {
            if let Some(peer) = peer {
                guard.tell_refused(peer, Ok((caller, needs)), &request);
            }
            let (is, needs) = (caller.role.as_str(), needs.as_str());
            let message = format!("this needs the role {needs}");
            let error = ApiError::new(StatusCode::FORBIDDEN, "role-too-low", message);
            Some(
                error
                    .because(format!("{} is {is}", caller.actor.0))
                    .try_next("scsctl token list, as an admin"),
            )
        }
        (None, unknown) => {
            let why = unknown.map_or("nobody is known behind the request", |Unknown(why)| why);
            if let Some(peer) = peer {
                guard.tell_refused(peer, Err(why), &request);
            }
            let error =
                ApiError::new(StatusCode::UNAUTHORIZED, "not-authenticated", "who asks is not proven");
            let next = "scsctl token create NAME --role ROLE, on the control server's machine";
            Some(error.because(why).try_next(next))
        }
    };
    match refused {
        None => Ok(next.run(request).await),
        Some(error) => Err(error),
    }
}
