//! The pages against a store and a publisher in memory that fail in every way the real ones do.

mod appends;
mod commits;
mod dead_pages;
mod edits;
mod lifecycle;
mod model;
mod numbers;
mod reads;
mod relaying;
mod repair;
mod summaries;
mod sweeping;
mod world;
