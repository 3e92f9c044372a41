//! Stack frames from registers.
//!
//! Here live the unwinders (CFI, ORC, frame pointers) and the registers of each architecture.
//! Nothing here knows names, types or Python.
