//! Formats, held against programs that we did not write, against damage, in pieces, and from every
//! cursor on.

mod csv;
mod damage;
mod gzip;
mod lines;
mod nesting;
mod records;
mod support;
mod zip;
