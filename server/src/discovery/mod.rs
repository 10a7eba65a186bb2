//! Finding events: search and recommendations. What is asked of the store in which order; HTTP is above, words and
//! ranks are in `domain/search`.

pub mod columns;
pub mod frequent;
pub mod recommend;
pub mod search;
pub mod worded;
