//! Tokens of the API: made, listed, taken back. The law: a new token is printed once, alone on its line, so that it can
//! be piped into a file; nothing else here shows one.

use hyper::Method;
use serde_json::{Value, json};

use super::Session;
use crate::answers::{Token, Tokens, read};
use crate::args::{self, Output};
use crate::exit::{Exit, Failure};
use crate::server::escape;
use crate::show;

pub(super) async fn run(session: Session<'_>, what: &args::Token) -> Result<Exit, Failure> {
    match what {
        args::Token::Create { name, role, expires } => {
            let seconds = expires.map(|span| span.as_secs());
            create(session, json!({ "name": name, "role": role.as_str(), "expires_in_s": seconds })).await
        }
        args::Token::List => list(session).await,
        args::Token::Revoke { name } => revoke(session, name).await,
    }
}

async fn create(mut session: Session<'_>, wished: Value) -> Result<Exit, Failure> {
    let answer = session.server.ask(Method::POST, "/v1/tokens", &wished).await?;
    if session.output == Output::Json {
        session.json(&answer)?;
        return Ok(Exit::Done);
    }
    let token: Token = read(&answer["token"])?;
    let secret = answer["token"]["secret"].as_str().unwrap_or_default();
    session.out.note(&format!(
        "the token {} is {} and is shown this once; keep it in a file for --token-file",
        token.name, token.role
    ));
    session.out.line(secret)?;
    Ok(Exit::Done)
}

async fn list(mut session: Session<'_>) -> Result<Exit, Failure> {
    let answer = session.server.get("/v1/tokens").await?;
    if session.wants_json() {
        session.json(&answer)?;
    } else {
        let tokens: Tokens = read(&answer)?;
        let text = show::tokens(&tokens.tokens, session.show());
        session.out.print(&text)?;
    }
    Ok(Exit::Done)
}

async fn revoke(mut session: Session<'_>, name: &str) -> Result<Exit, Failure> {
    let path = format!("/v1/tokens/{}", escape(name));
    let answer = session.server.ask(Method::DELETE, &path, &json!({})).await?;
    if session.wants_json() {
        session.json(&answer)?;
    } else {
        session.out.line(answer["done"].as_str().unwrap_or("done"))?;
    }
    Ok(Exit::Done)
}
