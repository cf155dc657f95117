//! What a login layer costs: the same pages with several login layers, and the requests to them.

pub mod contenders;
pub mod counts;
pub mod scenario;
pub mod users;
