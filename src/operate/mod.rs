//! Role: keeps the applied stack as wanted.
