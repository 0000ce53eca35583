//! Who asks, and what that one may: the other end of a connection, and what a request proves beyond it.
//!
//! It knows no routes. The law: a role comes from what was proven alone, by the system, by a certificate or by a
//! token, and never from what a request says of itself.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use understudy_model::{ClusterId, Identity, OperatorName, Role as Certified};
use understudy_settings::ApiAccess;

use super::actor::Actor;
use super::tokens::Ticket;

/// What somebody may, each more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Look.
    Viewer,
    /// Change what runs and who is primary.
    Operator,
    /// Change who may do so.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// The role with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// The other end of a connection, as it is known before any request.
#[derive(Debug, Clone)]
pub enum Peer {
    /// A user of this machine, on the Unix socket.
    Local {
        /// Who.
        actor: Actor,
        /// What that user may.
        role: Role,
    },
    /// Somebody on the network, behind TLS.
    Remote {
        /// From where.
        address: SocketAddr,
        /// The operator in its certificate, or why there is none in it; absent if it sent no certificate.
        certificate: Option<Result<OperatorName, String>>,
    },
}

/// Somebody known.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who, for the record.
    pub actor: Actor,
    /// What it may.
    pub role: Role,
    /// The token that it came with, if it did.
    pub ticket: Option<Ticket>,
    /// The operator in the certificate that it came with, if that made it somebody.
    pub operator: Option<OperatorName>,
}

/// The role of an operator that a certificate names.
pub fn role_of_certificate(access: &ApiAccess, name: &OperatorName) -> Role {
    if access.admins.contains(name) {
        Role::Admin
    } else if access.viewers.contains(name) {
        Role::Viewer
    } else {
        Role::Operator
    }
}

/// The operator whom a certificate's names make its bearer in this cluster: `understudy://CLUSTER-UUID/operator/NAME`.
/// Else why it makes it nobody.
pub fn operator_in<'n>(
    names: impl Iterator<Item = &'n str>,
    cluster: Option<ClusterId>,
) -> Result<OperatorName, String> {
    let Some(cluster) = cluster else {
        return Err("cluster.toml has no id, so no certificate can be one of this cluster".to_owned());
    };
    let mut identities = names.filter_map(|name| name.parse::<Identity>().ok());
    let identity = match (identities.next(), identities.next()) {
        (Some(identity), None) => identity,
        (None, _) => return Err("its certificate names no identity of Understudy".to_owned()),
        (Some(_), Some(_)) => return Err("its certificate names more than one identity".to_owned()),
    };
    if identity.cluster != cluster {
        return Err(format!("its certificate is of the cluster {}, not of this one", identity.cluster));
    }
    match identity.role {
        Certified::Operator(name) => Ok(name),
        other => Err(format!("its certificate is that of {other}, and only operators ask this API")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_operators_certificate_of_this_cluster_makes_somebody() {
        let cluster = Some(ClusterId(0x0123_abcd_0000_4000_8000_0000_0000_ffff));
        let id = "0123abcd00004000800000000000ffff";
        let of = |names: &[String], cluster| operator_in(names.iter().map(String::as_str), cluster);
        let good = format!("understudy://{id}/operator/Ann");
        assert_eq!(of(std::slice::from_ref(&good), cluster).unwrap().as_str(), "ann");
        let beside = ["https://x".to_owned(), good.clone()];
        assert_eq!(of(&beside, cluster).unwrap().as_str(), "ann");
        let both = [format!("understudy://{id}/scs/scs-1"), good.clone()];
        assert!(of(&both, cluster).unwrap_err().contains("more than one"));
        for (wrong, why) in [
            (format!("understudy://{id}/agent/alpha"), "agent:alpha"),
            (format!("understudy://{id}/operator/"), "no identity"),
            (format!("understudy://{id}/operator/a/b"), "no identity"),
            (format!("understudy://{}/operator/ann", id.replace('0', "1")), "not of this one"),
            ("understudy://+123abcd00004000800000000000ffff/operator/ann".to_owned(), "no identity"),
            ("https://x/operator/ann".to_owned(), "no identity"),
        ] {
            let said = of(&[wrong], cluster).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        assert!(of(&[good], None).unwrap_err().contains("no id"));
        assert!(of(&[], cluster).is_err());
    }

    #[test]
    fn roles_grow_and_have_their_words() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
        for role in Role::ALL {
            assert_eq!(Role::from_word(role.as_str()), Some(role));
        }
        let access = ApiAccess {
            admins: vec!["ann".parse().unwrap()],
            viewers: vec!["vic".parse().unwrap()],
            host_names: Vec::new(),
        };
        let of = |name: &str| role_of_certificate(&access, &name.parse().unwrap());
        assert_eq!((of("ann"), of("vic"), of("bob")), (Role::Admin, Role::Viewer, Role::Operator));
    }
}
