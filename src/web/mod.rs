//! The HTTP server's base: TLS, limits, headers. Sole home of axum-server.
