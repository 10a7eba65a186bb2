//! The bytes that server and gate exchange: frozen vectors, attacks, and parsers fed with rubbish.

mod attacks;
mod codes;
mod fixtures;
mod parsers;
mod requests;
mod rows;
mod signatures;
mod trust_chain;
mod vectors;
