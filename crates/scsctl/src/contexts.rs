//! Named places: `contexts.toml` in the user's own configuration directory.
//!
//! It knows no servers. The law: a file that cannot be read is an error, never an empty one, and a secret is never in
//! it: a token stands in a file of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};

/// The longest file that is read, in bytes.
const LONGEST_FILE_BYTES: u64 = 1024 * 1024;

/// Every context, and which is meant if none is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Contexts {
    /// The one that is meant if none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// By name.
    #[serde(default)]
    pub context: BTreeMap<String, Context>,
}

/// One place and how to get in there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Context {
    /// `unix:/PATH` or `https://HOST[:PORT]`.
    pub server: String,
    /// File of the authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Files of lists of revoked certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<PathBuf>,
    /// File of our certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// File of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// File of our token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

impl Contexts {
    /// Those of this user; none if there is no file.
    pub fn read() -> Result<Self, Failure> {
        use std::io::Read;
        let Some(path) = path() else { return Ok(Self::default()) };
        let mut text = String::new();
        let read = std::fs::File::open(&path)
            .and_then(|file| file.take(LONGEST_FILE_BYTES).read_to_string(&mut text));
        match read {
            // The whole error would quote the line, and with it a token that somebody put there.
            Ok(_) => toml::from_str(&text).map_err(|error| {
                let line = error
                    .span()
                    .map_or(0, |span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
                bad(&path, &format!("near line {line}: {}", error.message()))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(bad(&path, &error.to_string())),
        }
    }

    /// Writes them in one step: a reader sees the former file or this one.
    pub fn write(&self) -> Result<PathBuf, Failure> {
        let Some(path) = path() else {
            return Err(Failure::new(
                Exit::Failed,
                "there is no directory for contexts.toml: HOME is not set",
            ));
        };
        let failed = |error: std::io::Error| bad(&path, &error.to_string());
        let text = toml::to_string(self).map_err(|error| bad(&path, &error.to_string()))?;
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        let new = path.with_extension(format!("new-{}", std::process::id()));
        std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &path)).map_err(failed)?;
        Ok(path)
    }

    /// The one with that name, or the current one if none is named; none if there is no current one either.
    pub fn find(&self, name: Option<&str>) -> Result<Option<&Context>, Failure> {
        let Some(name) = name.or(self.current.as_deref()) else { return Ok(None) };
        let found = self.context.get(name);
        found.map(Some).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("there is no context {name:?}")).try_next("scsctl context list")
        })
    }
}

fn bad(path: &std::path::Path, why: &str) -> Failure {
    Failure::new(Exit::BadConfiguration, format!("contexts in {}: {}", path.display(), why.trim_end()))
}

fn path() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(directory.join("understudy/contexts.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_what_is_unknown_is_refused() {
        let mut contexts = Contexts::default();
        let context = Context {
            server: "https://scs:1".to_owned(),
            token_file: Some("/t".into()),
            ..Context::default()
        };
        contexts.context.insert("prod".to_owned(), context.clone());
        assert_eq!(contexts.find(None).unwrap(), None);
        contexts.current = Some("prod".to_owned());
        let text = toml::to_string(&contexts).unwrap();
        assert_eq!(toml::from_str::<Contexts>(&text).unwrap(), contexts);
        assert_eq!(contexts.find(None).unwrap(), Some(&context));
        assert_eq!(contexts.find(Some("test")).unwrap_err().exit(), Exit::Usage);
        assert!(toml::from_str::<Contexts>("[context.a]\nserver = \"x\"\ntoken = \"secret\"\n").is_err());
    }
}
