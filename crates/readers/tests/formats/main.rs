//! Formats, held against programs that we did not write, against damage, in pieces, and from every
//! cursor on.

#[cfg(test)]
mod csv;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod gzip;
#[cfg(test)]
mod lines;
#[cfg(test)]
mod nesting;
#[cfg(test)]
mod records;
#[cfg(test)]
mod support;
#[cfg(test)]
mod zip;
