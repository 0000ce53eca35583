//! A control server with a network side, and those who ask it there.

use std::net::SocketAddr;

use serde_json::json;

use super::tls::{self, Authority, CLUSTER, Client};
use super::{Bench, until};

/// A control server with a network side on a port of the system's choice.
pub struct Net {
    pub bench: Bench,
    pub authority: Authority,
    pub address: SocketAddr,
}

impl Net {
    pub fn start() -> Self {
        Self::start_with("", |_, _| {})
    }

    pub fn start_with(more: &str, prepare: impl FnOnce(&Authority, &Bench)) -> Self {
        let mut bench = Bench::new();
        let authority = Authority::new();
        prepare(&authority, &bench);
        tls::write(bench.directory.path(), "scs", &authority.server());
        bench.write("ca.pem", &authority.pem());
        let path = |name: &str| bench.path(name).display().to_string();
        let text = std::fs::read_to_string(bench.path("scs.toml")).unwrap();
        let text = format!(
            "{text}api-listen = [\"127.0.0.1:0\"]\n[api]\nadmins = [\"ann\"]\nviewers = [\"vic\"]\n\
             [tls]\ncertificate = \"{}\"\nkey = \"{}\"\nauthorities = [\"{}\"]\n{}\n",
            path("scs.pem"),
            path("scs.key"),
            path("ca.pem"),
            more.replace("DIR", &bench.directory.path().display().to_string()),
        );
        bench.write("scs.toml", &text);
        let cluster =
            bench.cluster().replace("name = \"demo\"\n", &format!("name = \"demo\"\nid = \"{CLUSTER}\"\n"));
        bench.write("cluster.toml", &cluster);
        bench.start();
        let find = || {
            let log = bench.log();
            let line = log.lines().find(|line| line.contains("serving the API with TLS"))?.to_owned();
            line.split("address=").nth(1)?.split_whitespace().next()?.parse().ok()
        };
        let address = until("the network side is served", find);
        Self { bench, authority, address }
    }

    pub fn anonymous(&self) -> Client {
        Client::new(self.address, &self.authority.pem(), None)
    }

    pub fn operator(&self, name: &str) -> Client {
        let identity = self.authority.of(&format!("operator/{name}"));
        Client::new(self.address, &self.authority.pem(), Some(&identity))
    }

    /// A new token, made on the Unix socket, as a header.
    pub fn token(&self, name: &str, role: &str, expires_in_s: Option<u64>) -> String {
        let body = json!({ "name": name, "role": role, "expires_in_s": expires_in_s }).to_string();
        let (status, answer) = self.bench.ask("POST", "/v1/tokens", &body);
        assert_eq!(status, 201, "{answer}");
        format!("Authorization: Bearer {}\r\n", answer["token"]["secret"].as_str().unwrap())
    }
}
