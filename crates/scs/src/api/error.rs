//! The one body that every error of the API has, and the status that goes with it.
//!
//! It knows no requests. The law: an error says what was found, why, and what to do next.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use understudy_decide::control::Reply;

/// An error of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    /// A word for scripts.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// Each reason.
    pub because: Vec<String>,
    /// The command to run next, if there is one.
    pub try_next: Option<String>,
}

impl ApiError {
    /// An error without reasons.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), because: Vec::new(), try_next: None }
    }

    /// The request itself makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", message)
    }

    /// Nothing has that name.
    pub fn not_found(kind: &str, name: &str, command: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no {kind} {name:?}"))
            .try_next(command)
    }

    /// The control server is ending.
    pub fn ending() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ending", "the control server is ending")
            .try_next("the same again in a moment")
    }

    /// Something was asked, and what became of it is not known.
    pub fn outcome_unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "outcome-unknown", message).try_next("scsctl status")
    }

    /// What the deciding machine refused, with the status that its code has.
    pub fn refused(code: String, message: String, because: Vec<String>, try_next: Option<String>) -> Self {
        let status = match code.as_str() {
            "not-found" => StatusCode::NOT_FOUND,
            "not-durable" | "unreachable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::CONFLICT,
        };
        Self { status, code, message, because, try_next }
    }

    /// Adds a reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.because.push(reason.into());
        self
    }

    /// Adds the command to run next.
    #[must_use]
    pub fn try_next(mut self, command: impl Into<String>) -> Self {
        self.try_next = Some(command.into());
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

/// The error in a reply, if it is one.
pub fn refusal_of(reply: Reply) -> Result<Reply, ApiError> {
    match reply {
        Reply::Refused { code, message, because, try_next } => {
            Err(ApiError::refused(code, message, because, try_next))
        }
        Reply::Begun(_) | Reply::Done { .. } | Reply::Plan { .. } => Ok(reply),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "error": {
            "code": self.code,
            "message": self.message,
            "because": self.because,
            "try": self.try_next.unwrap_or_default(),
        }});
        let mut response = (self.status, axum::Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_status() {
        let status =
            |code: &str| ApiError::refused(code.to_owned(), String::new(), Vec::new(), None).status();
        assert_eq!(status("not-found"), StatusCode::NOT_FOUND);
        assert_eq!(status("not-durable"), StatusCode::SERVICE_UNAVAILABLE);
        for code in ["not-ready", "busy", "maintenance", "not-possible"] {
            assert_eq!(status(code), StatusCode::CONFLICT, "{code}");
        }
    }

    #[test]
    fn only_refusals_are_errors() {
        let done = Reply::Done { text: "so".to_owned() };
        assert_eq!(refusal_of(done.clone()), Ok(done));
        let refused = Reply::Refused {
            code: "busy".to_owned(),
            message: "m".to_owned(),
            because: vec!["b".to_owned()],
            try_next: None,
        };
        assert_eq!(refusal_of(refused).unwrap_err().because, ["b"]);
    }
}
