//! `scsctl pki`: an authority in a directory of this machine.
//!
//! It asks no server and signs nothing itself. The law: what was made is told with what to do with it next, and no key is
//! ever printed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use understudy_model::Role;
use understudy_pki::{Directory, Entry, Issued, Names, PkiError, Standing, Validity};

use crate::args::{Args, Output, Pki, PkiIssue, PkiPlace};
use crate::exit::{Exit, Failure};
use crate::out::{Out, Tone};
use crate::show::table::{Table, cell, toned};

/// Runs one of them.
pub(super) fn run(what: &Pki, args: &Args, out: &mut Out) -> Result<Exit, Failure> {
    let json = args.output == Output::Json;
    match what {
        Pki::Init { place, name, id, days } => {
            let directory = at(place);
            let cluster = directory.init(name, *id, Validity::days(*days)?)?;
            if json {
                out.line(
                    &json!({ "cluster": cluster.to_string(), "directory": place.directory }).to_string(),
                )?;
                return Ok(Exit::Done);
            }
            let shown = place.directory.display();
            out.print(&format!(
                "made   {shown}/ca.pem, the authority of cluster {cluster}\n\
                 keep   {shown}/ca.key to yourself: whoever has it can be any host\n\
                 next   scsctl pki issue agent:HOST for every host, scsctl pki issue scs:NAME for the control server\n"
            ))?;
            Ok(Exit::Done)
        }
        Pki::Issue(of) => {
            made(&at(&of.place).issue(&role(&of.role)?, &names(of), Validity::days(of.days)?)?, of, json, out)
        }
        Pki::Renew(of) => {
            made(&at(&of.place).renew(&role(&of.role)?, &names(of), Validity::days(of.days)?)?, of, json, out)
        }
        Pki::Revoke { place, role: named, serial } => {
            let directory = at(place);
            let revoked = match (named, serial) {
                (Some(named), _) => directory.revoke(&role(named)?)?,
                (None, Some(serial)) => directory.revoke_serial(serial)?,
                (None, None) => Vec::new(),
            };
            revoke_told(&revoked, place, json, out)
        }
        Pki::Show { place, role: named, check } => {
            let named = named.as_deref().map(role).transpose()?;
            show(&at(place), named.as_ref(), *check, json, out)
        }
    }
}

fn at(place: &PkiPlace) -> Directory {
    Directory::new(&place.directory)
}

fn role(text: &str) -> Result<Role, Failure> {
    text.parse::<Role>().map_err(|error| Failure::new(Exit::Usage, error.to_string()))
}

fn names(of: &PkiIssue) -> Names {
    Names { dns: of.dns.clone(), addresses: of.ip.clone() }
}

impl From<PkiError> for Failure {
    fn from(error: PkiError) -> Failure {
        let exit = match error {
            PkiError::AuthorityThere { .. }
            | PkiError::IssuedAlready { .. }
            | PkiError::NeverIssued { .. }
            | PkiError::UnknownSerial { .. }
            | PkiError::NoAuthority { .. }
            | PkiError::NameTaken { .. } => Exit::Refused,
            PkiError::Identity(_) | PkiError::Name { .. } | PkiError::Days { .. } => Exit::Usage,
            PkiError::ForeignAuthority { .. }
            | PkiError::File { .. }
            | PkiError::Damaged { .. }
            | PkiError::Certificate { .. }
            | PkiError::Sign(_)
            | PkiError::Random(_) => Exit::Failed,
        };
        Failure::new(exit, error.to_string())
    }
}

fn made(issued: &Issued, of: &PkiIssue, json: bool, out: &mut Out) -> Result<Exit, Failure> {
    let Issued { certificate, key, entry } = issued;
    if json {
        let made = json!({ "certificate": certificate, "key": key, "role": entry.role, "serial": entry.serial,
            "until": entry.until.to_string() });
        out.line(&made.to_string())?;
        return Ok(Exit::Done);
    }
    let directory = of.place.directory.display();
    out.print(&format!(
        "made   {} for {}, holds until {}\n\
         made   {} (only its owner may read it)\n\
         next   copy both with {directory}/ca.pem and {directory}/revoked.pem to where it runs, name them under [tls], \
         and reload it (SIGHUP)\n",
        certificate.display(),
        entry.role,
        entry.until.strftime("%Y-%m-%d"),
        key.display(),
    ))?;
    Ok(Exit::Done)
}

fn revoke_told(revoked: &[Entry], place: &PkiPlace, json: bool, out: &mut Out) -> Result<Exit, Failure> {
    if json {
        let serials: Vec<&str> = revoked.iter().map(|entry| entry.serial.as_str()).collect();
        out.line(&json!({ "revoked": serials }).to_string())?;
        return Ok(Exit::Done);
    }
    for entry in revoked {
        out.line(&format!("revoked   {} of {}", entry.serial, entry.role))?;
    }
    if revoked.is_empty() {
        out.line("nothing new: everything asked for was revoked before, or has expired")?;
    }
    out.print(&format!(
        "next      copy {}/revoked.pem to every host and the control server, and reload them (SIGHUP); new links are refused from then on, \
         and links that live must be ended (restart the other end)\n",
        place.directory.display()
    ))?;
    Ok(Exit::Done)
}

fn show(
    directory: &Directory,
    of: Option<&Role>,
    check: bool,
    json: bool,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let mut shown = directory.show()?;
    if let Some(of) = of {
        shown.entries.retain(|(entry, _)| entry.role == of.to_string());
    }
    // Only the last one of an owner is in use: an older one that ends is no news.
    let last: BTreeMap<String, String> =
        shown.entries.iter().map(|(entry, _)| (entry.role.clone(), entry.serial.clone())).collect();
    let worry = |entry: &Entry, standing: Standing| {
        last.get(&entry.role) == Some(&entry.serial)
            && matches!(standing, Standing::Ending | Standing::Expired)
    };
    let wrong = shown.entries.iter().any(|(entry, standing)| worry(entry, *standing));
    if json {
        let entries: Vec<Value> = shown
            .entries
            .iter()
            .map(|(entry, standing)| {
                json!({ "role": entry.role, "serial": entry.serial, "issued": entry.issued.to_string(),
                    "until": entry.until.to_string(), "revoked": entry.revoked.map(|at| at.to_string()),
                    "standing": standing })
            })
            .collect();
        let all = json!({ "cluster": shown.cluster.to_string(), "authority_until": shown.until.to_string(),
            "certificates": entries });
        out.line(&all.to_string())?;
    } else {
        let mut table = Table::new(&["OWNER", "HOLDS UNTIL", "STANDING", "SERIAL"]);
        for (entry, standing) in &shown.entries {
            let (word, tone) = match standing {
                Standing::Valid => ("valid", Tone::Good),
                Standing::Ending => ("ends soon", Tone::Warn),
                Standing::Expired => ("expired", Tone::Bad),
                Standing::Revoked => ("revoked", Tone::Faint),
            };
            let until = entry.until.strftime("%Y-%m-%d").to_string();
            table.row(vec![cell(&*entry.role), cell(until), toned(word, tone), cell(&*entry.serial)]);
        }
        out.print(&format!(
            "authority of cluster {}, holds until {}\n",
            shown.cluster,
            shown.until.strftime("%Y-%m-%d")
        ))?;
        out.print(&table.text(out.paint()))?;
    }
    Ok(if check && wrong { Exit::Failed } else { Exit::Done })
}
