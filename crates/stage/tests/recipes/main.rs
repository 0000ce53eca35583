//! Recipes on whole clusters: real agents, a real control server, TLS links, and programs that nobody here wrote.
//!
//! They know the recipes as operators do. The law: a test without its program says so and is passed over, except in CI,
//! where that is a failure; every cluster has ports and a directory of its own.

mod ground;
mod haproxy;
mod redis;
mod redis_data;
mod redis_scripts;
mod writer;
