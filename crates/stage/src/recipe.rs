//! Recipes as they are shipped, put on the stage: their own settings and scripts, with the stage's places.
//!
//! It knows where recipes lie in the sources and how the stage writes an application. The law: what is played is what an
//! operator gets; only names of users, paths and addresses are replaced, and what is replaced must be there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{ApplicationPlan, Host, Plan, StageError};

/// Where packages put recipes.
const INSTALLED: &str = "/usr/lib/understudy/recipes";
/// The name of the pair, as in the recipe.
pub const REDIS: &str = "redis";
/// What both servers of the stage's pair ask for.
pub const REDIS_PASSWORD: &str = "of the stage";
/// As in the recipe.
pub const REDIS_FENCE_BUDGET: &str = "fence-budget = \"2s\"";
/// As in the recipe.
pub const REDIS_LEASE: &str = "lease = \"4s\"";
/// Keys that the stage writes itself, or that need an account or a place of the system.
const NOT_ON_STAGE: [&str; 8] = [
    "type",
    "interface",
    "user",
    "command",
    "environment-file",
    "working-directory",
    "restart-delay",
    "output",
];

/// What to do about a program that this machine lacks; none if it has it.
pub fn missing(program: &str, package: &str) -> Option<String> {
    let there = ["/usr/bin", "/usr/sbin", "/usr/local/bin"].map(|place| Path::new(place).join(program));
    let found = there.iter().any(|path| path.is_file());
    (!found).then(|| format!("{program} is not installed; on Debian run: apt-get install {package}"))
}

/// The directory of a recipe in the sources that this was built from.
pub fn directory(recipe: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/recipes").join(recipe)
}

/// Adds the pair of the Redis recipe, with the settings of its template; `ports` are those of alpha and beta.
pub fn add_redis(plan: &mut Plan, ports: [u16; 2]) -> Result<(), StageError> {
    let directory = directory(REDIS);
    let directory = fs::canonicalize(&directory).map_err(StageError::file("find", &directory))?;
    let file = directory.join("cluster.toml");
    let text = fs::read_to_string(&file).map_err(StageError::file("read", &file))?;
    for line in [REDIS_FENCE_BUDGET, REDIS_LEASE] {
        if !text.contains(line) {
            return Err(StageError::Unexpected(format!("{} does not say {line}", file.display())));
        }
        plan.timers.push(line.to_owned());
    }
    let more = template(&text, &directory)
        .ok_or_else(|| StageError::Unexpected(format!("{} has no template with hooks", file.display())))?;
    let start = directory.join("start").to_string_lossy().into_owned();
    plan.add_pair(REDIS, |host, name| ApplicationPlan {
        name,
        host,
        command: vec![start.clone()],
        environment: vec![
            ("REDIS_ADDRESS".to_owned(), host.address().to_string()),
            ("REDIS_PASSWORD".to_owned(), REDIS_PASSWORD.to_owned()),
        ],
        port: Some(ports[usize::from(host == Host::Beta)]),
        interface: "plain",
        more: more.clone(),
    });
    Ok(())
}

/// The lines of the template, its hooks as one line; `None` if there are no hooks.
fn template(text: &str, directory: &Path) -> Option<Vec<String>> {
    let placed = text.replace(&format!("{INSTALLED}/{REDIS}"), &directory.to_string_lossy());
    let section = |head: &str| -> Option<Vec<String>> {
        let (_, rest) = placed.split_once(&format!("\n{head}\n"))?;
        let body = rest.split("\n[").next().unwrap_or_default();
        let lines = body.lines().filter(|line| line.contains('=') && !line.starts_with('#'));
        Some(lines.map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned()).collect())
    };
    let mut lines = section("[template.redis]")?;
    lines.retain(|line| !NOT_ON_STAGE.contains(&line.split('=').next().unwrap_or_default().trim()));
    lines.push(format!("hooks = {{ {} }}", section("[template.redis.hooks]")?.join(", ")));
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_is_read_as_it_is_shipped_and_as_it_is_played() {
        let shipped = fs::read_to_string(directory(REDIS).join("cluster.toml")).unwrap();
        let read = understudy_settings::parse_cluster("cluster.toml", &shipped);
        let read = read.unwrap_or_else(|problems| panic!("{problems}"));
        assert!(read.warnings.is_empty(), "{:?}", read.warnings);
        let mut plan = Plan::new("recipes", 100);
        add_redis(&mut plan, [21_000, 21_001]).unwrap();
        let played = plan.cluster_file(Path::new("/tmp/stage"), [21_002, 21_003]);
        let seen = understudy_settings::parse_cluster("cluster.toml", &played);
        let seen = format!("{:?}", seen.unwrap_or_else(|problems| panic!("{problems}\n{played}")).value);
        for word in ["redis/start", "redis/promote", "redis/demote", "redis/probe"] {
            assert!(seen.contains(word), "{word}: {seen}");
        }
    }
}
