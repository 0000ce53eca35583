//! Contexts of this user: listed, chosen, set. No server is asked.

use serde_json::json;

use crate::args::{self, Args, Output};
use crate::contexts::{Context, Contexts};
use crate::exit::{Exit, Failure};
use crate::out::Out;
use crate::place::{Access, Place};

/// Runs the command.
pub fn run(what: &args::Context, args: &Args, out: &mut Out) -> Result<Exit, Failure> {
    let mut contexts = Contexts::read()?;
    match what {
        args::Context::List => list(&contexts, args.output, out)?,
        args::Context::Use { name } => {
            contexts.find(Some(name))?;
            contexts.current = Some(name.clone());
            contexts.write()?;
            out.line(&format!("{name} is meant from now on"))?;
        }
        args::Context::Set { name } => {
            let Some(server) = &args.access.server else {
                return Err(Failure::new(Exit::Usage, "a context needs a server")
                    .try_next(format!("scsctl context set {name} --server https://HOST:4997 --ca FILE")));
            };
            let access = &args.access;
            let context = Context {
                server: server.clone(),
                ca: access.ca.clone(),
                revoked: access.revoked.clone(),
                certificate: access.certificate.clone(),
                key: access.key.clone(),
                token_file: access.token_file.clone(),
            };
            // What cannot be used is not kept.
            Place::new(Access {
                url: context.server.clone(),
                authority: context.ca.clone(),
                revoked: context.revoked.clone(),
                certificate: context.certificate.clone(),
                key: context.key.clone(),
                token: None,
            })?;
            contexts.context.insert(name.clone(), context);
            contexts.current.get_or_insert_with(|| name.clone());
            let path = contexts.write()?;
            out.line(&format!("context {name} is set in {}", path.display()))?;
        }
    }
    Ok(Exit::Done)
}

fn list(contexts: &Contexts, output: Output, out: &mut Out) -> Result<(), Failure> {
    if output == Output::Json {
        let all: Vec<_> = contexts
            .context
            .iter()
            .map(|(name, context)| json!({ "name": name, "current": contexts.current.as_ref() == Some(name), "server": context.server }))
            .collect();
        return out.line(&json!({ "contexts": all }).to_string());
    }
    for (name, context) in &contexts.context {
        let mark = if contexts.current.as_ref() == Some(name) { "*" } else { " " };
        out.line(&format!("{mark} {name}   {}", context.server))?;
    }
    if contexts.context.is_empty() {
        out.line("no contexts; make one with scsctl context set NAME --server https://HOST:4997 --ca FILE")?;
    }
    Ok(())
}
