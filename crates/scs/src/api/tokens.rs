//! Tokens of the operators' API: made, shown once, compared, taken back.
//!
//! It knows no HTTP. The law: a token is 256 random bits of which only the hash is kept; it opens nothing any more
//! from the moment it is taken back; and it is compared in a time that says nothing about it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;
use tokio::sync::watch;
use understudy_model::OperatorName;
use understudy_store::{Batch, Change, CommitError, StoredToken};

use super::caller::Role;
use crate::journal::Journal;

/// The most tokens.
pub const MOST_TOKENS: usize = 256;
/// What every token begins with, so that tools which look for secrets in texts find it.
const PREFIX: &str = "understudy_";
/// Random bytes of a token.
const SECRET_BYTES: usize = 32;
/// How exact the time of the last use is, in wall milliseconds: each later use is one durable write.
const USE_GRAIN_MS: i64 = 5 * 60 * 1_000;

/// The tokens. Clones share them.
#[derive(Clone)]
pub struct Tokens {
    lists: Arc<Mutex<Lists>>,
    /// Changes when one is taken back.
    revoked: Arc<watch::Sender<u64>>,
    journal: Journal,
}

/// Tokens by name.
#[derive(Default)]
struct Lists {
    /// Those that open something.
    known: BTreeMap<OperatorName, StoredToken>,
    /// Those that were taken back, and may still be in the store: they open nothing, and can be taken back again.
    unforgotten: BTreeMap<OperatorName, StoredToken>,
}

/// A token that opened something: enough to ask later whether it still would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    name: OperatorName,
    hash: [u8; 32],
    expires_wall_ms: Option<i64>,
}

impl Ticket {
    /// Whose token it was.
    pub fn name(&self) -> &OperatorName {
        &self.name
    }

    /// From when it opens nothing, in wall milliseconds.
    pub fn expires_wall_ms(&self) -> Option<i64> {
        self.expires_wall_ms
    }
}

/// A new token, to be shown once. It shows itself to nobody by accident.
pub struct Secret(String);

impl Secret {
    /// The token itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// No such token, or no more.
    #[error("the token is not known, or was revoked")]
    Unknown,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
}

/// Why a token was not made or taken back.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is one of that name. Nothing changed.
    #[error("there is a token {0} already")]
    Exists(OperatorName),
    /// There are too many. Nothing changed.
    #[error("there are {MOST_TOKENS} tokens already")]
    TooMany,
    /// None has that name. Nothing changed.
    #[error("there is no token {0:?}")]
    None(OperatorName),
    /// The system has no random numbers. Nothing changed.
    #[error("the system has no random number: {0}")]
    Random(getrandom::Error),
    /// A new token was not stored, and opens nothing.
    #[error("the new token could not be stored: {0}")]
    NotStored(CommitError),
    /// It opens nothing until the control server starts again; after that it may, unless it is taken back once more.
    #[error(
        "the token {name} opens nothing now, but that could not be stored, so a restart may bring it back: {source}"
    )]
    NotForgotten {
        /// Which.
        name: OperatorName,
        /// Why.
        source: CommitError,
    },
}

impl Tokens {
    /// Those that are stored.
    pub fn new(journal: Journal, stored: Vec<StoredToken>) -> Self {
        let known = stored.into_iter().map(|token| (token.name.clone(), token)).collect();
        let (revoked, _) = watch::channel(0);
        let lists = Arc::new(Mutex::new(Lists { known, ..Lists::default() }));
        Self { lists, revoked: Arc::new(revoked), journal }
    }

    /// Whose token that is and what it may; notes its use.
    pub fn check(&self, secret: &str, now_ms: i64) -> Result<(Role, Ticket), TokenRefusal> {
        let hash = hash(secret);
        let known = &mut self.lock().known;
        // Every token is compared, so that the time says nothing about where one was found.
        let mut found = None;
        for (name, token) in known.iter() {
            if bool::from(token.hash.ct_eq(&hash)) {
                found = Some(name.clone());
            }
        }
        let token = found.and_then(|name| known.get_mut(&name)).ok_or(TokenRefusal::Unknown)?;
        if token.expires_wall_ms.is_some_and(|expires| expires <= now_ms) {
            return Err(TokenRefusal::Expired);
        }
        // A role of a later version opens nothing in this one.
        let role = Role::from_word(&token.role).ok_or(TokenRefusal::Unknown)?;
        let ticket = Ticket { name: token.name.clone(), hash, expires_wall_ms: token.expires_wall_ms };
        if token.last_used_wall_ms.is_none_or(|last| now_ms.saturating_sub(last) >= USE_GRAIN_MS) {
            token.last_used_wall_ms = Some(now_ms);
            self.note_use(token.name.clone(), now_ms);
        }
        Ok((role, ticket))
    }

    fn note_use(&self, name: OperatorName, at_wall_ms: i64) {
        let journal = self.journal.clone();
        tokio::spawn(async move {
            let changes = vec![Change::UseToken { name, at_wall_ms }];
            if let Err(error) = journal.commit(Batch { changes, ..Batch::default() }).await {
                tracing::warn!(%error, "the use of a token could not be noted");
            }
        });
    }

    /// True if what a token opened may stay open.
    pub fn is_good(&self, ticket: &Ticket, now_ms: i64) -> bool {
        let in_time = ticket.expires_wall_ms.is_none_or(|expires| expires > now_ms);
        in_time && self.lock().known.get(&ticket.name).is_some_and(|token| token.hash == ticket.hash)
    }

    /// Changes whenever one is taken back.
    pub fn revocations(&self) -> watch::Receiver<u64> {
        self.revoked.subscribe()
    }

    /// Has everybody look whether what is open may go on.
    pub fn look_again(&self) {
        self.revoked.send_modify(|count| *count += 1);
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<StoredToken> {
        self.lock().known.values().cloned().collect()
    }

    /// Makes one, durably.
    pub async fn make(
        &self,
        name: OperatorName,
        role: Role,
        made_by: &str,
        now_ms: i64,
        expires_wall_ms: Option<i64>,
    ) -> Result<(Secret, StoredToken), TokenError> {
        {
            let lists = self.lock();
            if lists.known.contains_key(&name) || lists.unforgotten.contains_key(&name) {
                return Err(TokenError::Exists(name));
            }
            if lists.known.len() + lists.unforgotten.len() >= MOST_TOKENS {
                return Err(TokenError::TooMany);
            }
        }
        let mut random = [0; SECRET_BYTES];
        getrandom::fill(&mut random).map_err(TokenError::Random)?;
        let secret = random.iter().fold(PREFIX.to_owned(), |text, byte| format!("{text}{byte:02x}"));
        let token = StoredToken {
            name: name.clone(),
            role: role.as_str().to_owned(),
            hash: hash(&secret),
            made_by: made_by.to_owned(),
            made_wall_ms: now_ms,
            expires_wall_ms,
            last_used_wall_ms: None,
        };
        let changes = vec![Change::AddToken(token.clone())];
        // Two who make the same name at once meet in the store, which takes one.
        self.journal.commit(Batch { changes, ..Batch::default() }).await.map_err(TokenError::NotStored)?;
        self.lock().known.insert(name, token.clone());
        Ok((Secret(secret), token))
    }

    /// Takes one back: at once here, then durably. What could not be stored, or was not waited for, can be asked for again.
    pub async fn revoke(&self, name: &OperatorName) -> Result<StoredToken, TokenError> {
        let token = {
            let mut lists = self.lock();
            let Lists { known, unforgotten } = &mut *lists;
            let taken = known.remove(name).or_else(|| unforgotten.get(name).cloned());
            let token = taken.ok_or_else(|| TokenError::None(name.clone()))?;
            unforgotten.insert(name.clone(), token.clone());
            token
        };
        self.look_again();
        let changes = vec![Change::RemoveToken(name.clone())];
        let stored = self.journal.commit(Batch { changes, ..Batch::default() }).await;
        stored.map_err(|source| TokenError::NotForgotten { name: name.clone(), source })?;
        self.lock().unforgotten.remove(name);
        Ok(token)
    }

    /// A panic between two changes leaves a token on neither list or on both at worst: it opens nothing, or is known.
    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(secret: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    // SHA-256 has exactly these 32 bytes.
    bytes.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standing::Standing;
    use understudy_store::{Reader, Store};

    fn open(directory: &std::path::Path) -> Tokens {
        let store = Store::open(directory).unwrap();
        let reader = Reader::open(directory).unwrap();
        let stored = reader.tokens().unwrap();
        let cluster = understudy_settings::parse_cluster("c", "[cluster]\nname = \"demo\"\n").unwrap().value;
        let standing = Standing::new(directory, Arc::new(cluster));
        Tokens::new(Journal::start(store, reader, standing).unwrap(), stored)
    }

    #[tokio::test]
    async fn a_token_whose_end_could_not_be_stored_can_be_taken_back_again() {
        let place = tempfile::tempdir().unwrap();
        let tokens = open(place.path());
        let name = OperatorName::new("robot").unwrap();
        let make = || tokens.make(name.clone(), Role::Viewer, "ann", 0, None);
        let (secret, _) = make().await.unwrap();
        assert!(tokens.check(secret.reveal(), 0).is_ok());

        // Somebody else has the file, for longer than the store waits.
        let other = rusqlite::Connection::open(place.path().join("scs.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        for _ in 0..2 {
            let failed = tokens.revoke(&name).await.unwrap_err();
            assert!(matches!(failed, TokenError::NotForgotten { .. }), "{failed}");
            assert_eq!(tokens.check(secret.reveal(), 0).unwrap_err(), TokenRefusal::Unknown);
        }
        assert!(matches!(make().await.map(drop), Err(TokenError::Exists(_))), "it is stored still");
        other.execute_batch("ROLLBACK").unwrap();

        tokens.revoke(&name).await.unwrap();
        assert!(matches!(tokens.revoke(&name).await, Err(TokenError::None(_))));
        drop(tokens);
        assert!(open(place.path()).all().is_empty(), "a restart does not bring it back");
    }
}
