//! PostgreSQL and SQLite: schema, sink, queries.
