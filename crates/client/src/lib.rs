//! A small async client over HTTP.
