//! Role: platforms in, topic out; one file a platform.
