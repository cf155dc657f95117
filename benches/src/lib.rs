//! What a login layer costs: the same pages, built with several of them, and what is asked of them.

pub mod contenders;
pub mod counts;
pub mod scenario;
pub mod users;
