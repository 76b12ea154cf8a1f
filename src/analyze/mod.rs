//! Role: topic in, scores and offsets into the database.
