//! Gates against the real routes: enrolment, signatures, manifests, logs, waiting, online scans, numbers.

mod device;
mod enroll;
mod exports;
mod figures;
mod guests;
mod incidents;
mod live;
mod log;
mod machine;
mod manifest;
mod online;
mod rules;
mod signed;
mod venue;
mod wait;
