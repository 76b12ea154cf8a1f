//! Role: the page that an owner sees.
