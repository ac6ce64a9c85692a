//! Whole clusters in memory, with jobs.

mod hearers;
mod life;
mod lists;
mod permits;
mod pipelines;
mod schedules;
mod sweep;
mod takeover;
mod world;
