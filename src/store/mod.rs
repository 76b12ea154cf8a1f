//! PostgreSQL and SQLite: schema, sink, queries.

pub mod hub;
