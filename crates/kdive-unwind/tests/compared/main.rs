//! Real programs: their rows compared with readelf's, their stacks with gdb's, and both damaged.

mod backtraces;
mod hostile;
mod programs;
mod rows;
